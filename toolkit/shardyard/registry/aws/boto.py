"""The same through botocore, which knows every way to get credentials. (All of boto3 would take still longer.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from shardyard.errors import MissingError, RemoteError
from shardyard.registry.aws.base import refused

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns boto3's errors into ours: credentials and region are missing here (exit 3), the rest is refused
    by the other side (exit 4)."""
    try:
        yield
    except _NO_CREDENTIALS as error:
        raise MissingError(
            f"cannot {doing}: no AWS credentials ({error}). Type: aws configure, or set AWS_PROFILE"
        ) from error
    except NoRegionError as error:
        raise MissingError(
            f"cannot {doing}: no AWS region. Set [registry] region in shardyard.toml"
        ) from error
    except ClientError as error:
        said = error.response.get("Error", {})
        raise refused(doing, said.get("Code"), said.get("Message")) from error
    except BotoCoreError as error:
        raise RemoteError(f"cannot {doing}: {error}") from error


class BotoService:
    """Satisfies Service."""

    def __init__(self, name: str, region: str | None, config: Config | None = None) -> None:
        with explained(f"reach {name.upper()}"):
            session = botocore.session.get_session()
            self._client: Any = session.create_client(name, region_name=region, config=config)
        self.region: str = self._client.meta.region_name

    def call(
        self, doing: str, operation: str, arguments: Mapping[str, Any], unless: str = ""
    ) -> dict[str, Any] | None:
        with explained(doing):
            try:
                answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**arguments)
            except ClientError as error:
                if unless and error.response.get("Error", {}).get("Code") == unless:
                    return None
                raise
        return answer
