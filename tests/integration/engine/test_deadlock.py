"""A deadlock ends the run within seconds and names who waits for whom; waiting for slow work is none."""

from __future__ import annotations

import time

import pytest

from tests.integration.engine.launch import mpirun

WORKER = "tests.integration.engine.deadlock_worker"
SECONDS = 200  # start-up on a busy machine; without recognition it is 1,800
CASES = {
    "nobody_sends": (
        2,
        ["rank 0 waits for rank 1: an object by smp.recv_from, at", "rank 1 waits for rank 0"],
    ),
    "one_skips": (
        2,
        [
            "rank 0 waits for rank 1: step 2, microbatch 0: rank 1 to run ",
            "rank 1 waits for rank 0: smp.barrier over the world group, at",
        ],
    ),
    "module": (
        2,
        ["microbatch 1: rank 1 to run module 'far'", "rank 1 waits for rank 0: an object by smp.recv"],
    ),
    "mismatched": (2, ["rank 0 waits for rank 1: torch.distributed.all_reduce, at"]),
    "ends": (
        2,
        ["rank 0 waits for rank 1 (which has ended): step 2, microbatch 0: rank 1 to run "],
    ),
    "part": (3, ["rank 0 waits for rank 1: an object", "rank 1 waits for rank 0: an object"]),
}


@pytest.mark.parametrize("case", CASES)
def test_recognised(case: str) -> None:
    ranks, texts = CASES[case]
    started = time.monotonic()
    done = mpirun(ranks, WORKER, case, timeout=SECONDS)
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert time.monotonic() - started < SECONDS
    for text in (*texts, "deadlock: ", "deadlock_worker.py:"):
        assert text in output, output[-6000:]


def test_slow_work_is_no_deadlock() -> None:
    done = mpirun(4, WORKER, "slow", timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("over rank=") == 4
