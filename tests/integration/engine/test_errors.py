"""Errors cross ranks with their type and both tracebacks, and a caught one leaves the engine usable."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun


@pytest.mark.parametrize(
    "parameters",
    [{"microbatches": 4}, {"microbatches": 8, "pipeline": "simple", "active_microbatches": 2}],
    ids=["interleaved", "simple"],
)
def test_errors_arrive_and_the_next_step_works(parameters: dict[str, object]) -> None:
    done = mpirun(2, "tests.integration.engine.errors_worker", json.dumps(parameters), timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for where in ("forward", "backward", "unpicklable", "in place", "function", "uneven"):
        assert done.stdout.count(f"caught {where} ") == 2
    assert done.stdout.count("outside ") == 2
    assert done.stdout.count("broken ") == 2


def test_a_failure_on_one_replica_is_raised_on_the_others_and_the_next_step_works() -> None:
    done = mpirun(4, "tests.integration.engine.replicas_worker", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("agreed ") == 4
