"""``deterministic_server``: collectives of replicas inside modules meet, whatever is ready first on which replica."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun

WORKER = "tests.integration.engine.ordered_worker"


@pytest.mark.parametrize(
    "parameters",
    [{"microbatches": 6}, {"microbatches": 6, "pipeline": "simple", "active_microbatches": 3}],
    ids=["interleaved", "simple"],
)
def test_replicas_run_calls_in_one_order(parameters: dict[str, object]) -> None:
    done = mpirun(4, WORKER, json.dumps(parameters), timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("ordered ") == 4


def test_a_step_that_fails_on_the_first_replica_is_left_by_all() -> None:
    done = mpirun(4, WORKER, json.dumps({"microbatches": 6}), "fails", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("left ") == 4
