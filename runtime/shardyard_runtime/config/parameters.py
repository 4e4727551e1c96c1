"""The parameters of ``smdistributed.modelparallel``: a dict in, a typed configuration or every problem out.

A value that asks for nothing is accepted; an undocumented hint is accepted with a warning; a value that asks
for something not built yet is refused with what is missing; an unknown name is refused with the nearest one.
Pure Python: the runtime configures itself with what ``check`` on the user's machine has read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from shardyard_runtime.config.parameter_rules import ask_for_missing, contradictions
from shardyard_runtime.config.parameter_values import (
    ALIASES,
    ParameterFinding,
    convert,
    is_hint,
    known,
    names_of_version_2,
)
from shardyard_runtime.config.placement import Placement

ENVIRONMENT_NAME = "SM_HP_MP_PARAMETERS"


class ParameterError(ValueError):
    """Parameters that cannot be used; carries all findings, warnings among them."""

    def __init__(self, findings: Iterable[ParameterFinding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(str(one) for one in self.findings if one.level == "error"))

    @property
    def warnings(self) -> list[ParameterFinding]:
        return [one for one in self.findings if one.level == "warning"]


@dataclass(frozen=True)
class SmpConfig:
    """What the engine runs with. ``partitions`` is the same number as ``pipeline_parallel_degree``."""

    pipeline_parallel_degree: int = 1
    tensor_parallel_degree: int = 1
    sharded_data_parallel_degree: int = 1
    microbatches: int = 1
    active_microbatches: int = 3
    pipeline: str = "interleaved"
    optimize: str = "memory"
    placement_strategy: str = "cluster"
    auto_partition: bool = True
    default_partition: int = 0
    memory_weight: float = 0.8
    contiguous: bool = True
    skip_tracing: bool = False
    trace_device: str = "gpu"
    partition_file: str | None = None
    load_partition: bool = False
    ddp: bool = False
    ddp_port: int | None = None
    ddp_dist_backend: str = "auto"
    horovod: bool = False
    deterministic_server: bool = False
    prescaled_batch: bool = False
    fp16: bool = False
    fp16_params: bool = False
    bf16: bool = False
    shard_optimizer_state: bool = False
    offload_activations: bool = False
    activation_loading_horizon: int = 4
    delayed_parameter_initialization: bool = False
    warnings: tuple[ParameterFinding, ...] = field(default=(), compare=False)

    @property
    def partitions(self) -> int:
        return self.pipeline_parallel_degree


_FIELDS = frozenset(one.name for one in fields(SmpConfig)) - {"warnings"}


def parse(raw: Mapping[str, Any] | None, *, framework: str = "pytorch") -> SmpConfig:
    """The configuration that these parameters ask for. Raises ParameterError with every finding."""
    given, findings = _read({} if raw is None else raw)
    findings += ask_for_missing(given, framework)
    findings += contradictions(given)
    if any(one.level == "error" for one in findings):
        raise ParameterError(findings)
    values = {name: value for name, value in given.items() if name in _FIELDS}
    partitions = values.get("pipeline_parallel_degree", 1)
    # As documented for what the library had; virtual stages need twice as many as there are ranks.
    most = (
        max(2 * partitions, partitions + 2) if values.get("pipeline") == "virtual_stages" else partitions + 2
    )
    values.setdefault("active_microbatches", most)
    values.setdefault("memory_weight", 0.2 if values.get("optimize") == "speed" else 0.8)
    return SmpConfig(**values, warnings=tuple(findings))


def _read(raw: Any) -> tuple[dict[str, Any], list[ParameterFinding]]:
    """Known names with values of the right type, null left out, aliases resolved; and what was wrong."""
    if not isinstance(raw, Mapping):
        return {}, [ParameterFinding("error", "parameters", f"{raw!r} is not a dictionary of parameters")]
    given: dict[str, Any] = {}
    findings: list[ParameterFinding] = []
    hints = []
    for name, value in raw.items():
        if name not in known():
            findings.append(_unknown(name))
        elif value is None:
            continue
        elif is_hint(name):
            hints += [name] if value else []
        else:
            try:
                converted = convert(name, value)
            except ValueError as error:
                findings.append(ParameterFinding("error", name, str(error)))
                continue
            findings += _store(given, name, converted)
    if hints:
        text = f"{'is' if len(hints) == 1 else 'are'} documented nowhere and without effect here"
        findings.append(ParameterFinding("warning", ", ".join(hints), text))
    return given, findings


def _store(given: dict[str, Any], name: str, value: Any) -> list[ParameterFinding]:
    target = ALIASES.get(name, name)
    if target in given and given[target] != value:
        message = f"says {value} here and {given[target]} under the other name of the same setting"
        other = next(alias for alias, real in ALIASES.items() if real == target)
        return [ParameterFinding("error", name, message, f"keep one of {other!r} and {target!r}")]
    given[target] = value
    return []


def _unknown(name: Any) -> ParameterFinding:
    if name in names_of_version_2():
        text = "belongs to version 2 of the library, which has another programming interface"
        return ParameterFinding("error", str(name), text, "remove it")
    close = get_close_matches(str(name), known(), n=1, cutoff=0.5)
    return ParameterFinding(
        "error", str(name), "is no known parameter", f"did you mean {close[0]!r}?" if close else "remove it"
    )


def merged_with_environment(
    raw: Mapping[str, Any] | None, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The script's parameters with those of the launcher over them: the environment wins, name by name."""
    text = (os.environ if environ is None else environ).get(ENVIRONMENT_NAME, "").strip()
    mine = dict(raw or {})
    if not text:
        return mine
    try:
        launched = json.loads(text)
        problem = "" if isinstance(launched, dict) else "is not a JSON object"
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON: {error}"
    if problem:
        raise ParameterError([ParameterFinding("error", ENVIRONMENT_NAME, f"{text[:200]!r} {problem}")])
    settled = {ALIASES.get(name, name) for name in launched}
    return {name: value for name, value in mine.items() if ALIASES.get(name, name) not in settled} | launched


def placement_for(config: SmpConfig, size: int) -> Placement:
    """The configuration's degrees laid over ``size`` processes. Raises ParameterError with every factor."""
    pp, tp = config.pipeline_parallel_degree, config.tensor_parallel_degree
    rdp, rest = divmod(size, pp * tp)
    if size < 1 or rest or not rdp:
        fits = pp * tp * max(1, rdp)
        message = (
            f"pipeline_parallel_degree {pp} × tensor_parallel_degree {tp} = {pp * tp} processes a replica, "
            f"which does not divide {size} processes"
        )
        raise ParameterError([ParameterFinding("error", "processes", message, f"{fits} processes would fit")])
    try:
        return Placement(pp, tp, rdp, config.placement_strategy)
    except ValueError as error:
        raise ParameterError([ParameterFinding("error", "placement_strategy", str(error))]) from error
