"""Planned order under mpirun: each rank runs what its plan says, to the letter, and the result is the serial run's."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.models import MODELS
from tests.integration.engine.planned_worker import PLACED

WORKER = "tests.integration.engine.planned_worker"


@pytest.mark.parametrize(
    ("ranks", "parameters", "pipelines"),
    [
        (2, {"partitions": 2}, ["interleaved", "simple"]),
        (4, {"partitions": 4}, ["interleaved", "virtual_stages"]),
        (4, {"partitions": 2, "ddp": True}, ["interleaved"]),
        (4, {"partitions": 2, "ddp": True, "deterministic_server": True}, ["simple"]),
    ],
    ids=["2 ranks", "4 ranks", "replicas", "replicas in one order"],
)
def test_ranks_follow_their_plan(ranks: int, parameters: dict[str, object], pipelines: list[str]) -> None:
    done = mpirun(ranks, WORKER, json.dumps(parameters), *pipelines, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("followed rank=") == ranks * len(pipelines) * len([*PLACED, *MODELS])
