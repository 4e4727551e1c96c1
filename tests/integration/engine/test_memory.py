"""Memory under a real mpirun: no tensor outlives its step, a rank holds its partition, few microbatches are live."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun


@pytest.mark.parametrize(
    "parameters",
    [
        {"partitions": 3, "active_microbatches": 2},
        {"partitions": 2, "ddp": True, "pipeline": "simple", "active_microbatches": 3},
        {"partitions": 2, "active_microbatches": 1, "offload_activations": True},
    ],
    ids=["interleaved", "simple-replicas", "offloaded"],
)
def test_memory(parameters: dict[str, object]) -> None:
    ranks = 4 if parameters.get("ddp") else int(str(parameters["partitions"]))
    done = mpirun(ranks, "tests.integration.engine.memory_worker", json.dumps(parameters))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for line in (
        "nothing survives rank=",
        "only its own rank=",
        f"at most {parameters['active_microbatches']} rank=",
    ):
        assert done.stdout.count(line) == ranks
