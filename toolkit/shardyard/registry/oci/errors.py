"""What a registry's refusal means."""

from __future__ import annotations

import json

from shardyard.errors import RemoteError

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class RegistryError(RemoteError):
    """An answer that was not what was asked for. What another try could mend was tried again already."""

    retried = True

    def __init__(self, message: str, status: int = 0, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status, self.codes = status, codes


class Transient(RegistryError):
    """Worth another try: the line broke, or the registry was busy and may have said for how long."""

    def __init__(self, message: str, status: int = 0, wait_s: float | None = None) -> None:
        super().__init__(message, status)
        self.wait_s = wait_s


def said(body: bytes) -> tuple[str, tuple[str, ...]]:
    """The text and the codes of a registry's JSON errors; else the first line of whatever it sent."""
    try:
        errors = json.loads(body)["errors"]
        codes = tuple(str(one.get("code", "")) for one in errors)
        return "; ".join(f"{one.get('code')}: {one.get('message')}" for one in errors), codes
    except (ValueError, KeyError, TypeError, AttributeError):
        lines = body[:400].decode(errors="replace").strip().splitlines()
        return (lines[0][:200] if lines else "no reason given"), ()
