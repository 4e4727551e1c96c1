"""Checkpoints, full and partial, go on with the same losses; what a rank keeps in memory after a step."""

from __future__ import annotations

from pathlib import Path

from tests.integration.engine.launch import mpirun


def test_save_load_resume_and_memory(tmp_path: Path) -> None:
    done = mpirun(2, "tests.integration.engine.state_worker", str(tmp_path), timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in ("skips", "tied"):
        for how in ("partial", "full"):
            assert done.stdout.count(f"resumed {name} {how} ") == 2
    assert done.stdout.count("refused ") == 2
