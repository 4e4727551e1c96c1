"""ECR's control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shardyard.engines.base import Credentials
from shardyard.errors import RemoteError
from shardyard.registry.aws.choice import service
from shardyard.registry.settings import Settings
from shardyard.registry.token import parse_host, split

if TYPE_CHECKING:
    from botocore.config import Config


class Ecr:
    """One account's registry in one region; without an account, that of the credentials. ``config``: for botocore,
    which then does the asking."""

    def __init__(self, region: str | None, account: str | None = None, config: Config | None = None) -> None:
        self._ecr = service("ecr", region, config)
        self.region: str = self._ecr.region
        self._account = account

    @property
    def account(self) -> str:
        """The configured account, else the one that the credentials belong to."""
        if self._account is None:
            host = self.sign_in().host  # ECR names the account in its registry's address: no need to ask STS
            place = parse_host(host)
            if place is None:
                raise RemoteError(f"ECR names {host!r} as its registry, which holds no account")
            self._account = place.account
        return self._account

    def sign_in(self) -> Credentials:
        """User, password and host of this account's registry. The host is what ECR itself names."""
        doing = " ".join(["sign in to ECR", *([f"account {self._account!r}"] if self._account else ()), "in"])
        asked = {"registryIds": [self._account]} if self._account else {}
        answer = self._ecr.call(f"{doing} {self.region!r}", "GetAuthorizationToken", asked) or {}
        entry = answer["authorizationData"][0]
        user, password = split(entry["authorizationToken"])
        endpoint = entry["proxyEndpoint"]
        return Credentials(urlsplit(endpoint).netloc or endpoint, user, password)

    def repository(self, name: str) -> Settings | None:
        """How a repository is set up, None where there is none."""
        doing = f"look at the ECR repository {name!r} of account {self.account!r}"
        asked = {"registryId": self.account, "repositoryNames": [name]}
        found = self._ecr.call(doing, "DescribeRepositories", asked, "RepositoryNotFoundException")
        return Settings.of(found["repositories"][0]) if found is not None else None

    def create_repository(self, name: str, arguments: Mapping[str, Any]) -> Settings:
        """Makes a repository that is missing; what another made meanwhile is as good."""
        doing = f"make the ECR repository {name!r} in account {self.account!r}"
        asked = {"registryId": self.account, "repositoryName": name, **arguments}
        try:
            made = self._ecr.call(doing, "CreateRepository", asked, "RepositoryAlreadyExistsException")
        except RemoteError as error:  # always so in another's account
            line = f"aws ecr create-repository --region {self.region} --repository-name {name}"
            raise RemoteError(f"{error.message}. Who may make it types: {line}") from error
        if made is not None:
            return Settings.of(made["repository"])
        return self.repository(name) or Settings(scan_on_push=False, immutable=False)

    def catalogued_digest(self, name: str, tag: str) -> str | None:
        """The digest that ECR's catalogue has for a tag, None while it knows of none."""
        asked = {"registryId": self.account, "repositoryName": name, "imageIds": [{"imageTag": tag}]}
        answer = self._ecr.call(
            f"look up {name}:{tag} in ECR", "DescribeImages", asked, "ImageNotFoundException"
        )
        details = (answer or {}).get("imageDetails") or []
        return str(details[0]["imageDigest"]) if details else None
