"""AWS as the preflight asks it: short time-outs, and refusals by their code."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from shardyard.errors import MissingError, ShardyardError
from shardyard.project.model import Project
from shardyard.registry.aws.boto import explained

# One question may take 2 × 5 s until it is known that nobody answers; the whole preflight has a bound of its own.
BRIEF = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
# Codes with which the services refuse a right; S3 answers a HEAD with the bare status.
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


@dataclass(frozen=True)
class Identity:
    """Whose the credentials are."""

    account: str
    arn: str


class Aws:
    """Clients in the project's region, and the identity of the credentials, asked for once."""

    def __init__(self, project: Project) -> None:
        self._wanted = project.registry.region
        self._lock = threading.Lock()  # the look-outs run at once, and a session is not made for that
        self._session: boto3.Session | None = None
        self._clients: dict[str, Any] = {}
        self._identity: Identity | ShardyardError | None = None

    @property
    def region(self) -> str:
        region = self._opened().region_name
        if not region:
            raise MissingError("no AWS region")
        return str(region)

    def client(self, service: str) -> Any:
        region = self.region
        with self._lock:
            if service not in self._clients:
                with explained(f"reach AWS {service!r}"):
                    self._clients[service] = self._opened().client(service, region_name=region, config=BRIEF)
            return self._clients[service]

    def identity(self) -> Identity:
        """Raises MissingError without credentials, RemoteError where AWS does not take them; asked for once."""
        sts = self.client("sts")
        with self._lock:
            if self._identity is None:
                try:
                    with explained("find out whose the AWS credentials are"):
                        said = sts.get_caller_identity()
                    self._identity = Identity(str(said["Account"]), str(said["Arn"]))
                except ShardyardError as error:
                    self._identity = error
        if isinstance(self._identity, ShardyardError):
            raise self._identity
        return self._identity

    def _opened(self) -> boto3.Session:
        if self._session is None:
            with explained("read the AWS configuration"):
                self._session = boto3.Session(region_name=self._wanted)
        return self._session


def code_of(error: BaseException | None) -> str:
    """The code of an AWS refusal, also of one that was turned into an error of ours; else empty."""
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__
    return str(error.response.get("Error", {}).get("Code", "")) if error is not None else ""
