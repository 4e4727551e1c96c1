"""A check and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Report:
    """`remedy` is what to type; `fixed`: `--fix` just did it; `needed`: no command can do without."""

    name: str
    ok: bool
    message: str
    remedy: str = ""
    needed: bool = True
    fixed: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Check(Protocol):
    """Looks at one thing. `fix` repairs it and says whether it could."""

    name: str

    def look(self) -> Report: ...

    def fix(self) -> bool: ...
