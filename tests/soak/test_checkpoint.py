"""200 ranks killed in the middle of saving: the last complete checkpoint always loads, with the same losses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine import crashes

HOW = ["new tags", "one tag", "full"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crashes.reference(tmp_path_factory.mktemp("reference") / "losses.json")


@pytest.mark.parametrize("seed", range(20))
def test_a_rank_killed_while_saving(tmp_path: Path, expected: Path, seed: int) -> None:
    how = HOW[seed % len(HOW)]
    crashes.survives(tmp_path / "saved", how, expected, ranks=2 + 2 * (seed % 2), rounds=10, seed=1000 + seed)
