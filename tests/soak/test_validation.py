"""The same as tests/unit/plan/test_validation.py, ten times as long; and against the SDK's own check."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.environments.environment import python
from tests.unit.plan.tables import TABLES, check, folder_in, holds_both_ways, holds_for_any_table, parameters

FUZZ = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))


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


def test_what_the_sdk_refuses_is_named_and_nothing_else(folder: Path) -> None:
    rows: list[tuple[dict[str, Any], set[str]]] = []

    @FUZZ
    @given(parameters())
    def gather(values: dict[str, Any]) -> None:
        table = {"smdistributed": {"modelparallel": {"enabled": True, "parameters": values}}}
        found = check(folder, {**table, "mpi": {"enabled": True, "processes_per_host": 12}}, 1)
        if not any(one.level == "error" for one in found):
            rows.append((values, {one.code for one in found if one.code.startswith("sdk-")}))

    gather()
    program = Path(__file__).with_name("sdk_verdicts.py")
    done = subprocess.run(
        [str(python("sagemaker-v2")), str(program)],
        input=json.dumps([values for values, _ in rows]),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    verdicts = json.loads(done.stdout.splitlines()[-1])
    assert len(verdicts) == len(rows) > 500
    for (values, codes), verdict in zip(rows, verdicts, strict=True):
        assert bool(codes) == bool(verdict), (values, codes, verdict)
