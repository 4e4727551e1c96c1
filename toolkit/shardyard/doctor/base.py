"""A check and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Repair:
    """What ``--fix`` did, or why it left a thing alone."""

    done: bool
    said: str


@dataclass(frozen=True)
class Report:
    """`remedy` is what to type; `needed`: no command can do without; `fixed`: ``--fix`` just did it; `repair`:
    what that was, or why nothing was done."""

    name: str
    ok: bool
    message: str
    remedy: str = ""
    needed: bool = True
    fixed: bool = False
    repair: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Check(Protocol):
    """Looks at one thing. `fix` repairs what it may: nothing as root, nothing of the system's, nothing deleted."""

    name: str

    def look(self) -> Report: ...

    def fix(self) -> Repair: ...
