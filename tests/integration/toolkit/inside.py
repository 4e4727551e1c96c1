"""Commands inside the testbed: one bring-up serves a whole list of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SHARDYARD = str(Path(sys.executable).with_name("shardyard"))


@dataclass(frozen=True)
class Step:
    """A command in a folder; one in the background runs beside those that follow it, until one that comes after all."""

    folder: Path
    words: list[str]
    background: bool = False
    after_all: bool = False


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def first_line(self) -> str:
        """The first line of the message: progress comes before it."""
        return next((line for line in self.err.splitlines() if line.startswith("shardyard: ")), "")


def run_inside(testbed: tuple[str, ...], *steps: Step) -> list[Outcome]:
    packed = json.dumps([{**asdict(step), "folder": str(step.folder)} for step in steps])
    line = [*testbed, sys.executable, "-m", __name__, packed]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return [Outcome(*one) for one in json.loads(done.stdout.splitlines()[-1])]


def main(packed: str) -> None:
    processes: list[subprocess.Popen[str]] = []
    said: dict[int, tuple[str, str]] = {}

    def end(which: int) -> None:
        if which not in said:
            said[which] = processes[which].communicate(timeout=400)

    for number, step in enumerate(json.loads(packed)):
        if step["after_all"]:
            for earlier in range(number):
                end(earlier)
        processes.append(
            subprocess.Popen(
                step["words"], cwd=step["folder"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        if not step["background"]:
            end(number)
    for number in range(len(processes)):
        end(number)
    print(json.dumps([(process.returncode, *said[number]) for number, process in enumerate(processes)]))


if __name__ == "__main__":
    main(sys.argv[1])
