"""Parallel equals serial over the whole matrix of partitions, replicas, microbatches and schedules."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.models import MODELS


@pytest.mark.parametrize("pipeline", ["simple", "interleaved"])
@pytest.mark.parametrize("microbatches", [1, 2, 4, 8])
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("partitions", [1, 2, 3, 4])
def test_parallel_equals_serial(partitions: int, replicas: int, microbatches: int, pipeline: str) -> None:
    parameters = {
        "partitions": partitions,
        "microbatches": microbatches,
        "pipeline": pipeline,
        "ddp": True,
    }
    ranks = partitions * replicas
    done = mpirun(ranks, "tests.integration.engine.equality_worker", json.dumps(parameters), timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for model in MODELS:
        assert done.stdout.count(f"equal {model} ") == ranks
