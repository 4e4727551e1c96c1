"""What asks AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from shardyard.errors import RemoteError


class Service(Protocol):
    """One service of AWS in one region."""

    region: str

    def call(
        self, doing: str, operation: str, arguments: Mapping[str, Any], unless: str = ""
    ) -> dict[str, Any] | None:
        """The answer; None where it is the error `unless`. Raises MissingError where credentials are missing
        here, RemoteError where the other side refuses: "cannot <doing>: ..."."""
        ...


def refused(doing: str, code: object, message: object) -> RemoteError:
    return RemoteError(f"cannot {doing}: AWS said {code}: {message}", code=str(code))
