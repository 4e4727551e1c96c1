"""Parallel equals serial over the whole matrix of partitions, replicas, microbatches and schedules; the oldest torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine import matrix
from tests.integration.engine.test_equality import check


@pytest.mark.parametrize("replicas", matrix.REPLICAS)
def test_the_whole_matrix(replicas: int, tmp_path: Path) -> None:
    check(replicas, matrix.everything(), tmp_path, timeout=3000)
