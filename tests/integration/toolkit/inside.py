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
    """A command in a folder; one in the background runs beside those that follow it."""

    folder: Path
    words: list[str]
    background: bool = False


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
    started = []
    for step in json.loads(packed):
        process = subprocess.Popen(
            step["words"], cwd=step["folder"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append((process, None if step["background"] else process.communicate(timeout=400)))
    ended = [(process, said or process.communicate(timeout=400)) for process, said in started]
    print(json.dumps([(process.returncode, *said) for process, said in ended]))


if __name__ == "__main__":
    main(sys.argv[1])
