"""Output that travels to S3 while the job runs: what is written to output/intermediate."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from . import s3
from .config import JobConfig
from .errors import LaunchError
from .upload import Sync, Upload

log = logging.getLogger(__name__)


def start(config: JobConfig, environ: Mapping[str, str] = os.environ) -> Sync | None:
    """None where nobody asked for it, or where the folder is there already: the platform carries its files then."""
    target = str(config.hyperparameters.get("sagemaker_s3_output") or "")
    folder = config.base / "output" / "intermediate"
    if not target or folder.exists():
        return None
    address = urlsplit(target, allow_fragments=False)
    if address.scheme == "file":
        folder.mkdir(parents=True)
        return None
    if address.scheme != "s3" or not address.netloc:
        raise LaunchError(
            f"sagemaker_s3_output is {target!r}. It must read s3://BUCKET/PREFIX or file://FOLDER."
        )
    if importlib.util.find_spec("boto3") is None:
        log.error(
            "sagemaker_s3_output is %s, and without boto3 this image cannot copy %s there. Add `boto3` to "
            "requirements in shardyard.toml and build again",
            *(target, folder),
        )
        return None
    prefix = [address.path.strip("/"), environ.get("TRAINING_JOB_NAME", ""), "output", "intermediate"]
    folder.mkdir(parents=True)
    sync = Sync(folder, _uploader(config, address.netloc, "/".join(filter(None, prefix)), environ))
    sync.start()
    return sync


def _uploader(config: JobConfig, bucket: str, prefix: str, environ: Mapping[str, str]) -> Upload:
    region = str(config.hyperparameters.get("sagemaker_region") or "")
    storage = s3.Storage({**environ, "SAGEMAKER_REGION": environ.get("SAGEMAKER_REGION") or region})
    return lambda path, name, moved: storage.upload(path, bucket, f"{prefix}/{name}", moved)
