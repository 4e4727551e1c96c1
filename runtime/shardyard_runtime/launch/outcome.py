"""How the job ended, the same on every host, and the files that tell the platform."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from . import reserve
from .errors import LaunchError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    text: str = ""

    @classmethod
    def of_problem(cls, problem: LaunchError) -> Outcome:
        return cls(problem.exit_code, f"{problem}\n")

    def write(self, base: Path) -> None:
        """A reason that the user's own code wrote stands; ours is written where there is none."""
        output = base / "output"
        reserve.give_back(base)
        try:
            output.mkdir(parents=True, exist_ok=True)
            if self.exit_code == 0:
                (output / "success").touch()
                return
            failure = output / "failure"
            if not failure.exists() or failure.stat().st_size == 0:
                failure.write_text(self.text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            log.error("the result could not be written under %s: %s", output, error)

    def withdraw(self, base: Path) -> None:
        """Takes back what `write` wrote, unless somebody wrote something else since."""
        failure = base / "output" / "failure"
        with contextlib.suppress(OSError):
            if failure.read_text("utf-8", errors="replace") == self.text:
                failure.unlink()
