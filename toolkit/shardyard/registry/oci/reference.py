"""Image references as Docker reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shardyard.errors import ProjectError

DOCKER_HUB = "docker.io"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LONGEST = 255


@dataclass(frozen=True)
class Reference:
    """`host/repository:tag` or `host/repository@digest`; both may be given, the digest then decides."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def version(self) -> str:
        """What a manifest is asked for by."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """A reference with nothing left open: `python` is `docker.io/library/python:latest`."""
    rest, at, digest = text.partition("@")
    first, slash, path = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, rest = first, path
    else:
        host = DOCKER_HUB
    repository, colon, tag = rest.partition(":")
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    good = (
        _HOST.fullmatch(host)
        and _REPOSITORY.fullmatch(repository)
        and len(host) + len(repository) < _LONGEST
        and (not colon or _TAG.fullmatch(tag))
        and (not at or DIGEST.fullmatch(digest))
    )
    if not good:
        raise ProjectError(f"{text!r} is no image reference. Write: registry/repository:tag")
    return Reference(host, repository, tag if colon else None if at else "latest", digest if at else None)
