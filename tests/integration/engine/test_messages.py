"""Object messages over every group, under a real mpirun."""

from __future__ import annotations

from tests.integration.engine.launch import mpirun

RANKS = 4


def test_object_messages_over_every_group() -> None:
    done = mpirun(RANKS, "tests.integration.engine.messages_worker")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in ("world", "pp", "tp", "rdp", "dp", "mp"):
        assert done.stdout.count(f"group {name} ") == RANKS
    assert done.stdout.count("tensors ") == done.stdout.count("crossed ") == RANKS
