"""Activation checkpointing over ranks: equal to the serial run, with dropout to the run without it; nothing remote again."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.recompute_worker import CASES


@pytest.mark.parametrize(
    "parameters",
    [
        {"partitions": 3},
        {"partitions": 2, "pipeline": "simple", "active_microbatches": 2},
        {"partitions": 1},
        {"partitions": 3, "offload_activations": True, "activation_loading_horizon": 2},
    ],
    ids=["three", "two-simple", "one", "three-offloaded"],
)
def test_a_recomputed_region(parameters: dict[str, object]) -> None:
    ranks = int(str(parameters["partitions"]))
    done = mpirun(ranks, "tests.integration.engine.recompute_worker", json.dumps(parameters))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in CASES:
        assert done.stdout.count(f"recomputed {name} ") == ranks
