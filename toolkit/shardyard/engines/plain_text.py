"""What a program wrote for a terminal, as the lines that it comes to."""

from __future__ import annotations

import re

# Colours, movements of the cursor, titles of windows; then every other control character but the tab.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Lines:
    """Text in pieces to whole lines. A line that is written over (a progress bar, with carriage returns) counts
    once, as it was in the end."""

    def __init__(self) -> None:
        self._begun = ""

    def of(self, piece: str) -> list[str]:
        """The lines that this piece completes; empty ones are left out."""
        *whole, self._begun = (self._begun + piece).split("\n")
        self._begun = self._begun[self._begun.rfind("\r", 0, -1) + 1 :]  # what was written over is forgotten
        return [text for line in whole if (text := plain(line)).strip()]

    def rest(self) -> list[str]:
        """A last line without an end."""
        return self.of("\n") if self._begun else []


def plain(line: str) -> str:
    """One line without control characters."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return _CONTROL.sub("", _ESCAPES.sub("", shown)).rstrip()
