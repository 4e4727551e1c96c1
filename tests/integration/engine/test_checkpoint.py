"""Checkpoints under mpirun: training goes on with the same losses, and what does not fit is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine import crashes
from tests.integration.engine.launch import mpirun

WORKER = "tests.integration.engine.checkpoint_worker"


def test_resumes_with_the_same_losses(tmp_path: Path) -> None:
    done = mpirun(4, WORKER, "train", str(tmp_path), timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in ("skips", "tied"):
        for how in ("newest-partial", "partial", "full", "repartitioned"):
            assert done.stdout.count(f"resumed {name} {how} ") == 4
    for part in ("kept", "old clients", "refused"):
        assert done.stdout.count(f"{part} rank=") == 4
    serial = mpirun(1, WORKER, "resume-serial", str(tmp_path), timeout=120)
    assert serial.returncode == 0, serial.stdout[-2000:] + serial.stderr[-6000:]
    assert "resumed serial" in serial.stdout


@pytest.mark.parametrize("strategy", ["cluster", "spread"])
def test_hosts_with_folders_of_their_own(tmp_path: Path, strategy: str) -> None:
    done = mpirun(4, WORKER, "hosts", str(tmp_path), strategy, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("hosts rank=") == 4


def test_a_rank_killed_while_saving(tmp_path: Path) -> None:
    expected = crashes.reference(tmp_path / "losses.json")
    for seed, (how, ranks, rounds) in enumerate([("new tags", 2, 4), ("one tag", 4, 2), ("full", 2, 4)]):
        crashes.survives(tmp_path / how, how, expected, ranks, rounds, seed)
