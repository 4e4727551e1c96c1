"""Arbitrary [distribution] tables, and what must hold for each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import event
from hypothesis import strategies as st

import shardyard
from shardyard.project.findings import Finding, exit_code
from shardyard_runtime.config.parameter_values import known
from shardyard_runtime.config.parameters import ParameterError, parse, placement_for

PROJECT = '[image]\nname = "demo"\nbase = "demo-base"\ndevice = "cpu"\n'

_WORDS = [
    "cluster",
    "spread",
    "DPT",
    "TPD",
    "PDT",
    "simple",
    "interleaved",
    "_only_forward",
    "speed",
    "memory",
]
_WORDS += ["auto", "nccl", "gloo", "no-such-file.json", "-x A=1", "--mca pml ob1", "-host a", "'", ""]
_NUMBERS = st.one_of(
    st.integers(0, 5), st.integers(), st.sampled_from([2.0, 0.5, 8, 16, 10**30, -1, 2**63]), st.floats()
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    st.sampled_from(_WORDS),
    st.text(max_size=8),
    st.dates(),
    st.datetimes(),
)
ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def _mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any] = ANYTHING) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda dice: bad if dice == 6 else good)


def _value(name: str) -> st.SearchStrategy[Any]:
    row = known()[name]
    if isinstance(row["valid"], list):
        return st.sampled_from([*row["valid"], row["default"]])
    return {
        "bool": st.booleans(),
        "int": st.sampled_from([1, 1, 2, 2, 4, 3, 0, 2.0, None]),
        "float": st.sampled_from([0.0, 0.25, 1, 2.0, None]),
    }.get(row["type"], st.sampled_from(["part.json", None]))


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    """Known names with values that mostly fit them; now and then another name or value."""
    names = draw(st.lists(st.sampled_from(sorted(known())), unique=True, max_size=5))
    names += draw(
        st.sampled_from([[], [], ["partitions"], ["partitions", "ddp"], ["pipeline_parallel_degree"]])
    )
    names += draw(st.sampled_from([[]] * 7 + [["partition"], ["tensor_parallel"], [""]]))
    return {name: draw(_mostly(_value(name)) if name in known() else ANYTHING) for name in names}


def _table(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A table that has each of the keys or not, and sometimes a stranger."""
    here = st.one_of(
        *[st.fixed_dictionaries(keys)] * 3,
        st.fixed_dictionaries({}, optional=keys),
    )
    strange = st.dictionaries(
        st.sampled_from(["enabeld", "parameters", "mpi", "modelparallel", "x"]), ANYTHING, max_size=2
    )
    return _mostly(here, st.builds(lambda one, other: {**one, **other}, here, strange) | ANYTHING)


_MODEL_PARALLEL = _table(enabled=_mostly(st.just(True)), parameters=_mostly(parameters()))
_DATA_PARALLEL = _table(enabled=_mostly(st.booleans()))
TABLES = _table(
    smdistributed=_mostly(
        _table(modelparallel=_MODEL_PARALLEL),
        _table(modelparallel=_MODEL_PARALLEL, dataparallel=_DATA_PARALLEL),
    ),
    mpi=_table(
        enabled=_mostly(st.just(True)),
        processes_per_host=_mostly(st.sampled_from([1, 2, 3, 4, 8])),
        custom_mpi_options=_mostly(st.sampled_from(["", "-x A=1", "--mca pml ob1"]), st.sampled_from(_WORDS)),
    ),
)


def folder_in(path: Path) -> Path:
    (path / "shardyard.toml").write_text(PROJECT, encoding="utf-8")
    (path / "train.py").write_text("print('hello')\n", encoding="utf-8")
    return path


def check(folder: Path, table: Any, hosts: int, runtime: str = "bundled") -> list[Finding]:
    """All findings; a traceback is a failure of the test that calls."""
    found = shardyard.check(folder, overrides=overrides(table, hosts, runtime))  # type: ignore[operator]
    assert all(one.message and one.where and one.level in ("error", "warning", "note") for one in found)
    json.dumps([one.as_dict() for one in found])
    return found


def overrides(table: Any, hosts: int, runtime: str = "bundled") -> dict[str, Any]:
    return {"distribution": table, "job.instance_count": hosts, "image.runtime": runtime}


def runtime_accepts(given: dict[str, Any], size: int) -> bool:
    """Whether smp.init would take these parameters, as they come out of the launcher's JSON."""
    try:
        placement_for(parse(json.loads(json.dumps(given))), size)
    except ParameterError:
        return False
    return True


def holds_for_any_table(folder: Path, table: Any, hosts: int) -> None:
    """Never a traceback; what check lets pass, plan can draw and the runtime takes."""
    check(folder, table, hosts, "image")
    found = check(folder, table, hosts)
    if exit_code(found) or not isinstance(table, dict):
        event("refused")
        return
    drawn = shardyard.plan(folder, overrides=overrides(table, hosts))  # type: ignore[operator]
    block = table.get("smdistributed", {}).get("modelparallel") or {}
    if block.get("enabled"):
        event("accepted, model parallel")
        given = block.get("parameters", {})
        assert drawn.placement.size == hosts * table["mpi"]["processes_per_host"]
        assert runtime_accepts(given, hosts * table["mpi"]["processes_per_host"])


def holds_both_ways(folder: Path, given: dict[str, Any], hosts: int, each: int) -> None:
    """In a table of the right shape, check and the runtime agree on the parameters and the rank count."""
    block = {"enabled": True, "parameters": given}
    table = {"smdistributed": {"modelparallel": block}, "mpi": {"enabled": True, "processes_per_host": each}}
    errors = [one for one in check(folder, table, hosts) if one.level == "error"]
    try:
        taken = runtime_accepts(given, hosts * each)
    except TypeError:  # a date is no JSON: it cannot reach the runtime
        taken = False
    event("accepted" if taken else "refused")
    assert taken == (not errors), errors
