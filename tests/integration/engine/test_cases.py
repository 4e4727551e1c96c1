"""Models with one difficult thing each, placed over ranks so that it is difficult, equal their serial run."""

from __future__ import annotations

import json

import pytest

from tests.integration.engine.cases_worker import CASES
from tests.integration.engine.launch import mpirun


@pytest.mark.parametrize(
    "parameters",
    [
        {"partitions": 3},
        {"partitions": 3, "pipeline": "simple", "active_microbatches": 2},
        {"partitions": 2, "pipeline": "interleaved", "active_microbatches": 1},
    ],
    ids=["three", "three-simple", "one-at-a-time"],
)
def test_equal_to_serial(parameters: dict[str, object]) -> None:
    ranks = int(str(parameters["partitions"]))
    done = mpirun(ranks, "tests.integration.engine.cases_worker", json.dumps(parameters), timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in CASES:
        assert done.stdout.count(f"equal {name} ") == ranks
    assert done.stdout.count("autocast ") == 2 * ranks
