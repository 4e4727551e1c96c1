"""Arbitrary distributions: never a traceback, and check agrees with what smp.init reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plan.tables import TABLES, folder_in, holds_both_ways, holds_for_any_table, parameters

FUZZ = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_in(tmp_path_factory.mktemp("project"))


@FUZZ
@given(table=TABLES, hosts=st.integers(1, 3))
def test_any_table(folder: Path, table: Any, hosts: int) -> None:
    holds_for_any_table(folder, table, hosts)


@FUZZ
@given(given=parameters(), hosts=st.integers(1, 3), each=st.sampled_from([1, 2, 3, 4, 8]))
def test_check_and_the_runtime_agree(folder: Path, given: dict[str, Any], hosts: int, each: int) -> None:
    holds_both_ways(folder, given, hosts, each)
