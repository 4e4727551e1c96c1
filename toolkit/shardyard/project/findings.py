"""One thing that is wrong, or worth knowing, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
Side = Literal["project", "machine", "remote"]
_EXIT_CODES: dict[Side, int] = {"project": 2, "machine": 3, "remote": 4}


@dataclass(frozen=True)
class Finding:
    """``where`` is the key (``image.base``) or the file; ``remedy`` is the next thing to type; ``side`` is who
    has to change: the project, this machine, or the other side (AWS, a registry)."""

    level: Level
    code: str
    where: str
    message: str
    remedy: str = ""
    side: Side = "project"

    def __str__(self) -> str:
        tail = f"\n    {self.remedy}" if self.remedy else ""
        place = f"{self.where}: " if self.where else ""
        return f"{self.level}: {place}{self.message} [{self.code}]{tail}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a typo most likely meant, or None when nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    swapped = [one for one in close if sorted(one) == sorted(word)]
    return next(iter(swapped + close), None)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without an error, else what the nearest wrong side means: project, then machine, then the other side."""
    return min((_EXIT_CODES[one.side] for one in findings if one.level == "error"), default=0)
