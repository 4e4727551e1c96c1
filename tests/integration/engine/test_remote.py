"""Remote tensors: equal results, bytes straight from holder to user, and what cannot be right is refused."""

from __future__ import annotations

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.remote_worker import CASES


@pytest.mark.parametrize("ranks", [2, 3])
def test_values_stay_where_they_are_made(ranks: int) -> None:
    done = mpirun(ranks, "tests.integration.engine.remote_worker", str(ranks), timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for use in CASES:
        assert done.stdout.count(f"equal {use.__name__} ") == ranks
    assert done.stdout.count("refused ") == ranks
    assert done.stdout.count("moved ") == ranks
