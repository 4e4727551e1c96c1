"""One thing that is wrong, or worth knowing, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """``where`` is the key (``image.base``) or the file; ``remedy`` is the next thing to type."""

    level: Level
    code: str
    where: str
    message: str
    remedy: str = ""

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


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.level == "error" for finding in findings)
