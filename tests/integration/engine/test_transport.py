"""Messages move while their sender computes, under the flags of a job and over TCP."""

from __future__ import annotations

import pytest

from tests.integration.engine.launch import mpirun

FLAGS = {
    "default": ("--mca", "btl_vader_single_copy_mechanism", "none"),
    "tcp": ("--mca", "btl", "tcp,self"),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_messages_move_while_the_sender_computes(flags: str) -> None:
    done = mpirun(2, "tests.integration.engine.transport_worker", options=FLAGS[flags], timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for what in ("arrived matmuls", "arrived python", "alike", "last"):
        assert done.stdout.count(f"{what} rank=") == 2
