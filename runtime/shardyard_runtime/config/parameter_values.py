"""The names that ``smp_parameters.json`` lists, and what a value of each may be. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

# The older name of a setting -> the name that we use.
ALIASES = MappingProxyType({"partitions": "pipeline_parallel_degree"})

# Values that the data file does not list, because no documentation does, but that the code accepts.
_MORE_VALUES: Mapping[str, tuple[str, ...]] = {
    "ddp_dist_backend": ("gloo",),
    "pipeline": ("virtual_stages", "auto"),
}
# Values that parameter_rules.py refuses with what is missing.
NOT_YET_VALUES: Mapping[str, tuple[str, ...]] = {"pipeline": ("zero_bubble", "_only_forward")}

# Names found in public scripts only: neither documented nor known to the SDK.
_HINTS_OF_SCRIPTS = ("xla", "fork", "_prescaled_batch", "overlapping_allreduce")


@dataclass(frozen=True)
class ParameterFinding:
    """``level`` is "error" or "warning"; ``remedy`` is the next thing to do."""

    level: str
    name: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


@cache
def known() -> Mapping[str, Mapping[str, Any]]:
    """Every known name and its row of the data file."""
    data = json.loads(Path(__file__).with_name("smp_parameters.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in data["parameters"]}
    for name in _HINTS_OF_SCRIPTS:
        rows[name] = {"name": name, "type": "any", "default": None, "valid": None, "frameworks": []}
        rows[name] |= {"documented": False, "category": "undocumented"}
    # An argument of DistributedModel; the SDK's own tests pass it as a parameter.
    rows["trace_device"] = {"name": "trace_device", "type": "str", "default": "gpu", "valid": ["gpu", "cpu"]}
    rows["trace_device"] |= {"documented": False, "category": "partitioning", "frameworks": ["pytorch"]}
    return MappingProxyType(rows)


@cache
def names_of_version_2() -> frozenset[str]:
    """Names that only the second version of the library knows, another programming interface."""
    data = json.loads(Path(__file__).with_name("smp_parameters.json").read_text(encoding="utf-8"))
    return frozenset(row["name"] for row in data["parameters_v2"]) - known().keys()


def is_hint(name: str) -> bool:
    """Documented nowhere: accepted, with one warning, and without effect."""
    return bool(known()[name]["category"] == "undocumented")


def convert(name: str, value: Any) -> Any:
    """The value in its type and range. Raises ValueError that quotes the value and says what is accepted."""
    row = known()[name]
    converted = _CONVERTERS.get(row["type"], _as_it_is)(value)
    valid = row["valid"]
    if isinstance(valid, list) and row["type"] == "str":
        choices = [*valid, *_MORE_VALUES.get(name, ())]
        if converted not in (*choices, *NOT_YET_VALUES.get(name, ())):
            raise ValueError(f"{value!r} is none of {', '.join(repr(choice) for choice in choices)}")
    elif isinstance(valid, str) and valid.startswith((">=", "0", "1")):
        low = float(valid.split("..")[0].removeprefix(">=").strip())
        if converted < low:
            raise ValueError(f"{value!r} is below {low:g}")
    if name == "memory_weight" and converted > 1:
        raise ValueError(f"{value!r} is above 1")
    if name == "ddp_port" and converted > 65535:
        raise ValueError(f"{value!r} is above 65535")
    return converted


def _boolean(value: Any) -> bool:
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise ValueError(f"{value!r} is neither true nor false")


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a whole number")


def _number(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"{value!r} is not a number")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is not text")


def _as_it_is(value: Any) -> Any:
    return value


_CONVERTERS = {"bool": _boolean, "int": _integer, "float": _number, "str": _string}
