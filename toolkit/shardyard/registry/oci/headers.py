"""Headers that registries answer with, parsed: WWW-Authenticate, Content-Range, Retry-After."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PIECE = re.compile(
    rf'\s*(?:(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))|(?P<scheme>{_TOKEN}))'
)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_LONGEST_WAIT_S = 120.0


@dataclass
class Challenge:
    """One way to sign in that a registry offers; the scheme in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def challenges(value: str) -> list[Challenge]:
    """Every challenge of a WWW-Authenticate header; what cannot be read is left out."""
    found: list[Challenge] = []
    at = 0
    while at < len(value):
        piece = _PIECE.match(value, at)
        if piece is None:
            at += 1
            continue
        at = piece.end()
        if piece["scheme"]:
            found.append(Challenge(piece["scheme"].lower()))
        elif found:
            text = re.sub(r"\\(.)", r"\1", piece["quoted"]) if piece["quoted"] is not None else piece["plain"]
            found[-1].parameters[piece["name"].lower()] = text
    return found


@dataclass(frozen=True)
class ContentRange:
    first: int
    last: int
    total: int | None


def content_range(value: str) -> ContentRange | None:
    """The bytes that a 206 holds, None where the header makes no sense."""
    found = _CONTENT_RANGE.fullmatch(value.strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    return ContentRange(first, last, total) if first <= last and (total is None or last < total) else None


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, at most two minutes. A date counts as "some time": None."""
    return (
        min(float(value), _LONGEST_WAIT_S) if value and re.fullmatch(r"[0-9]{1,9}", value.strip()) else None
    )
