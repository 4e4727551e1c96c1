"""Kills ranks in the middle of saving, round after round, each going on from what the last one left."""

from __future__ import annotations

import random
import re
from pathlib import Path

from tests.integration.engine.launch import mpirun

WORKER = "tests.integration.engine.crash_worker"
OPERATIONS = 60  # a rank does 9 to 40 of them a save


def reference(file: Path) -> Path:
    """The losses of a run that nobody interrupts, in ``file``."""
    done = mpirun(1, WORKER, "reference", str(file))
    assert done.returncode == 0, done.stderr[-4000:]
    return file


def survives(folder: Path, how: str, expected: Path, ranks: int, rounds: int, seed: int) -> None:
    """Every round resumes with the step that was saved last, or the one that was being saved, and its losses."""
    draw = random.Random(seed)
    folder.mkdir()
    saved = 0
    for number in range(rounds + 1):
        victim, at = (draw.randrange(ranks), draw.randint(1, OPERATIONS)) if number < rounds else (0, 0)
        round_ = f"{how}, seed {seed}, round {number}: rank {victim} dies before its operation {at}"
        done = mpirun(ranks, WORKER, str(folder), how, str(expected), str(victim), str(at))
        output = f"{round_}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        assert ("dies before" in done.stdout) == (at > 0), output
        assert (done.returncode == 0) == (at == 0), output
        assert "Error" not in done.stderr, output
        resumed = {int(step) for step in re.findall(r"resumed at (\d+)", done.stdout)}
        assert len(resumed) == 1, output
        at_step = resumed.pop()
        assert saved <= at_step <= saved + 1, f"{saved} was saved\n{output}"
        saved = max([at_step, *(int(step) for step in re.findall(r"saved (\d+)", done.stdout))])
