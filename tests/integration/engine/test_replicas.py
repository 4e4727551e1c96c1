"""Replicas with uneven inputs, gradients by a hook of the script's own, and whose buffers count."""

from __future__ import annotations

from pathlib import Path

from tests.integration.engine.launch import mpirun


def test_uneven_inputs_hooks_and_buffers(tmp_path: Path) -> None:
    done = mpirun(4, "tests.integration.engine.joining_worker", str(tmp_path), timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for what in ("uneven True", "uneven False", "mixed", "thrown", "hooks", "buffers"):
        assert done.stdout.count(f"{what} rank=") == 4


def test_buckets_leave_during_the_backward() -> None:
    done = mpirun(4, "tests.integration.engine.overlap_worker", timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for case in ("steady", "surprised", "accumulated", "abandoned", "two_functions", "ended"):
        assert done.stdout.count(f"{case} rank=") == 4
