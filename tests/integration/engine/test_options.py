"""Options of steps and models under a real mpirun: 2 partitions x 2 replicas."""

from __future__ import annotations

from tests.integration.engine.launch import mpirun


def test_options() -> None:
    done = mpirun(4, "tests.integration.engine.options_worker")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for case in ("accumulated", "attached", "too_late"):
        assert done.stdout.count(f"{case} rank=") == 4
