"""What the launcher asks of AWS. The only file of the launcher that knows boto3."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import LaunchError


def client(service: str, purpose: str, environ: Mapping[str, str] = os.environ, **options: Any) -> Any:
    try:
        import boto3
    except ImportError:
        raise LaunchError(
            f"{purpose} needs boto3, and this image has none. Add `boto3` to requirements in shardyard.toml "
            "and build again, or bake the code into the image.",
            exit_code=3,
        ) from None
    region = environ.get("AWS_REGION") or environ.get("SAGEMAKER_REGION") or None
    return boto3.client(service, **{"region_name": region, **options})


def download(uri: str, target: Path, environ: Mapping[str, str] = os.environ) -> None:
    address = urlsplit(uri, allow_fragments=False)
    bucket, key = address.netloc, address.path.lstrip("/")
    if not bucket or not key:
        raise LaunchError(f"{uri!r} names no object in S3. It must read s3://BUCKET/KEY.")
    storage = client("s3", f"Fetching {uri!r}", environ, endpoint_url=_endpoint(environ))
    try:
        storage.download_file(bucket, key, str(target))
    except Exception as error:  # botocore makes its classes at run time
        raise LaunchError(
            f"The code could not be fetched from {uri!r}: {type(error).__name__}: {error}. See that the object "
            "exists and that the job's role may read it (s3:GetObject).",
            exit_code=4,
        ) from error


class Storage:
    """Takes files. Its client is made for the first one: a job that has none should not wait for boto3."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._client: Any = None

    def upload(self, path: Path, bucket: str, key: str, moved: Callable[[int], object]) -> None:
        """`moved` hears of every piece that went out."""
        if self._client is None:
            self._client = client(
                "s3", "Output to S3", self._environ, endpoint_url=_endpoint(self._environ), config=_patience()
            )
        self._client.upload_file(str(path), bucket, key, Callback=moved)


def _patience() -> Any:
    from botocore.config import Config

    return Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 4, "mode": "standard"})


def _endpoint(environ: Mapping[str, str]) -> str | None:
    return environ.get("S3_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL_S3") or None
