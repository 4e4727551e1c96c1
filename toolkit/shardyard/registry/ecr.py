"""ECR's control plane, through botocore alone: all of boto3 would take a tenth of a second more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from shardyard.engines.base import Credentials
from shardyard.errors import MissingError, RemoteError
from shardyard.registry.token import split

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
        raise RemoteError(f"cannot {doing}: AWS said {said.get('Code')}: {said.get('Message')}") from error
    except BotoCoreError as error:
        raise RemoteError(f"cannot {doing}: {error}") from error


class Ecr:
    """One account's registry in one region."""

    def __init__(self, region: str | None, account: str | None = None) -> None:
        with explained("reach ECR"):
            self._session = botocore.session.get_session()
            self._client: Any = self._session.create_client("ecr", region_name=region)
        self.region: str = self._client.meta.region_name
        self._account = account

    @property
    def account(self) -> str:
        """The configured account, else the one that the credentials belong to."""
        if self._account is None:
            with explained("find the AWS account of these credentials"):
                self._account = str(
                    self._session.create_client("sts", region_name=self.region).get_caller_identity()[
                        "Account"
                    ]
                )
        return self._account

    def sign_in(self) -> Credentials:
        """User, password and host of this account's registry. The host is what ECR itself names."""
        with explained(f"sign in to ECR account {self.account!r} in {self.region!r}"):
            answer = self._client.get_authorization_token(registryIds=[self.account])
        entry = answer["authorizationData"][0]
        user, password = split(entry["authorizationToken"])
        endpoint = entry["proxyEndpoint"]
        return Credentials(urlsplit(endpoint).netloc or endpoint, user, password)

    def ensure_repository(self, name: str) -> bool:
        """Creates the repository when it is missing; True when it did."""
        with explained(f"make the ECR repository {name!r}"):
            try:
                self._client.describe_repositories(registryId=self.account, repositoryNames=[name])
                return False
            except self._client.exceptions.RepositoryNotFoundException:
                pass
            try:
                self._client.create_repository(registryId=self.account, repositoryName=name)
            except self._client.exceptions.RepositoryAlreadyExistsException:
                return False
        return True

    def catalogued_digest(self, name: str, tag: str) -> str | None:
        """The digest that ECR's catalogue has for a tag, None while it knows of none."""
        with explained(f"look up {name}:{tag} in ECR"):
            try:
                answer = self._client.describe_images(
                    registryId=self.account, repositoryName=name, imageIds=[{"imageTag": tag}]
                )
            except self._client.exceptions.ImageNotFoundException:
                return None
        details = answer.get("imageDetails") or []
        return str(details[0]["imageDigest"]) if details else None
