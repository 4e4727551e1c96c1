"""Dropout and other draws: equal to our engine with one partition, in any order, and when recomputed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.engine.launch import mpirun


def run(**parameters: Any) -> dict[str, Any]:
    parameters = {"microbatches": 4, "recompute": False, **parameters}
    done = mpirun(parameters["partitions"], "tests.integration.engine.random_worker", json.dumps(parameters))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("{")))
    return found


def test_draws_do_not_depend_on_the_placement() -> None:
    alone = run(partitions=1)
    assert len(set(alone["losses"])) == 12  # every microbatch of every step draws its own
    for other in (
        run(partitions=2),
        run(partitions=3, pipeline="simple"),
        run(partitions=2, recompute=True, active_microbatches=2),
    ):
        assert other["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert other["gradients"] == pytest.approx(alone["gradients"], rel=1e-4, abs=1e-5)
