"""The parallel run equals the serial one: losses, gradients, parameters, evaluation."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.models import MODELS

RUNS = {
    "two-partitions": (2, {"partitions": 2, "microbatches": 4}),
    "two-partitions-simple-capped": (
        2,
        {"partitions": 2, "microbatches": 4, "pipeline": "simple", "active_microbatches": 2},
    ),
    "replicas-cluster-interleaved": (4, {"partitions": 2, "microbatches": 4, "ddp": True}),
    "replicas-spread-simple": (
        4,
        {
            "partitions": 2,
            "microbatches": 2,
            "ddp": True,
            "placement_strategy": "spread",
            "pipeline": "simple",
        },
    ),
    "manual": (2, {"partitions": 2, "microbatches": 2, "auto_partition": False, "default_partition": 1}),
    "three-partitions": (3, {"partitions": 3, "microbatches": 4}),
}


@pytest.mark.parametrize("name", RUNS)
def test_parallel_equals_serial(name: str) -> None:
    ranks, parameters = RUNS[name]
    done = mpirun(ranks, "tests.integration.engine.equality_worker", json.dumps(parameters))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for model in MODELS:
        assert done.stdout.count(f"equal {model} ") == ranks
