"""ECR's control plane."""

from __future__ import annotations

from urllib.parse import urlsplit

from shardyard.engines.base import Credentials
from shardyard.errors import RemoteError
from shardyard.registry.aws.choice import service
from shardyard.registry.token import parse_host, split


class Ecr:
    """One account's registry in one region; without an account, that of the credentials."""

    def __init__(self, region: str | None, account: str | None = None) -> None:
        self._ecr = service("ecr", region)
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

    def ensure_repository(self, name: str) -> bool:
        """Creates the repository when it is missing; True when it did."""
        doing = f"make the ECR repository {name!r}"
        names = {"registryId": self.account, "repositoryNames": [name]}
        if self._ecr.call(doing, "DescribeRepositories", names, "RepositoryNotFoundException") is not None:
            return False
        names = {"registryId": self.account, "repositoryName": name}
        made = self._ecr.call(doing, "CreateRepository", names, "RepositoryAlreadyExistsException")
        return made is not None

    def catalogued_digest(self, name: str, tag: str) -> str | None:
        """The digest that ECR's catalogue has for a tag, None while it knows of none."""
        asked = {"registryId": self.account, "repositoryName": name, "imageIds": [{"imageTag": tag}]}
        answer = self._ecr.call(
            f"look up {name}:{tag} in ECR", "DescribeImages", asked, "ImageNotFoundException"
        )
        details = (answer or {}).get("imageDetails") or []
        return str(details[0]["imageDigest"]) if details else None
