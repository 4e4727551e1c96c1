"""What a set of parameters asks for that is not there, and where its values contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shardyard_runtime.config.parameter_values import ParameterFinding, known

# Name -> what is missing. A value above 1, or true, or a text asks for it.
NOT_YET: Mapping[str, str] = {
    "tensor_parallel_degree": "tensor parallelism is not built yet",
    "sharded_data_parallel_degree": "sharded data parallelism is not built yet",
    "shard_optimizer_state": "sharding the optimizer's state is not built yet",
    "fp16_params": "parameters in float16 without masters are not built yet; fp16 keeps masters",
    "horovod": "data parallelism through Horovod is not built yet",
}
_PIPELINES_NOT_YET: Mapping[str, str] = {
    "_only_forward": "a pipeline without a backward pass is not built yet",
    "zero_bubble": "backwards split by inputs and weights are not built yet",
}
_ONLY_IF_NOT_DEFAULT: Mapping[str, str] = {
    "contiguous": "partitions that are not contiguous are not built yet",
}


def asks(name: str, value: Any) -> bool:
    """Whether the value asks for anything: degree 1, false and the documented default do not."""
    if value is None or value == known()[name]["default"] or value is False:
        return False
    return not (name.endswith("_degree") and value == 1)


def ask_for_missing(given: Mapping[str, Any], framework: str) -> list[ParameterFinding]:
    """Refusals for what the runtime cannot do, for this framework."""
    findings = []
    for name, value in given.items():
        frameworks = known()[name]["frameworks"]
        if asks(name, value) and frameworks and framework not in frameworks and name != "ddp":
            text = f"{value!r} asks for something that only {' and '.join(map(_title, frameworks))} can do"
            findings.append(ParameterFinding("error", name, text, _remove(name)))
        elif name in NOT_YET and asks(name, value):
            findings.append(ParameterFinding("error", name, f"{value!r}: {NOT_YET[name]}", _remove(name)))
        elif name in _ONLY_IF_NOT_DEFAULT and value != known()[name]["default"]:
            text = f"{value!r}: {_ONLY_IF_NOT_DEFAULT[name]}"
            findings.append(ParameterFinding("error", name, text, "remove it, or set it to true"))
    pipeline = given.get("pipeline", "")
    if pipeline in _PIPELINES_NOT_YET:
        text = f"{pipeline!r}: {_PIPELINES_NOT_YET[pipeline]}"
        findings.append(ParameterFinding("error", "pipeline", text, "use 'interleaved' or 'simple'"))
    elif pipeline in ("auto", "virtual_stages") and framework != "pytorch":
        text = f"{pipeline!r} asks for something that only PyTorch can do"
        findings.append(ParameterFinding("error", "pipeline", text, "use 'interleaved' or 'simple'"))
    strategy = given.get("placement_strategy")
    if framework == "tensorflow" and strategy not in (None, "cluster", "spread"):
        text = f"{strategy!r}: TensorFlow knows 'cluster' and 'spread' only"
        findings.append(ParameterFinding("error", "placement_strategy", text, "use 'cluster' or 'spread'"))
    return findings


def contradictions(given: Mapping[str, Any]) -> list[ParameterFinding]:
    """Values that cannot stand together."""
    findings = []
    partitions, default = given.get("pipeline_parallel_degree", 1), given.get("default_partition")
    if default is not None and default >= partitions:
        text = f"{default} is not below the number of partitions, {partitions}"
        findings.append(ParameterFinding("error", "default_partition", text, f"use 0 to {partitions - 1}"))
    if given.get("auto_partition") is False and default is None:
        text = "false needs default_partition: where modules outside every smp.partition go"
        findings.append(ParameterFinding("error", "auto_partition", text, "add default_partition = 0"))
    if given.get("load_partition") and not given.get("partition_file"):
        text = "true needs partition_file: the file to load"
        findings.append(ParameterFinding("error", "load_partition", text, "add partition_file = PATH"))
    if given.get("ddp") and given.get("horovod"):
        text = "and ddp are both true; they exclude each other"
        findings.append(ParameterFinding("error", "horovod", text, "keep one of them"))
    if given.get("fp16") and given.get("bf16"):
        findings.append(ParameterFinding("error", "bf16", "and fp16 are both true", "keep one of them"))
    if given.get("tensor_parallel_degree", 1) > 1 and not given.get("ddp"):
        text = f"{given['tensor_parallel_degree']} needs ddp to be true"
        findings.append(ParameterFinding("error", "tensor_parallel_degree", text, "set ddp to true"))
    if given.get("ddp_port") is not None and "ddp" not in given:
        findings.append(
            ParameterFinding("warning", "ddp_port", "has no meaning without ddp", "add ddp = true")
        )
    return findings


def _remove(name: str) -> str:
    return "set it to 1" if name.endswith("_degree") else "remove it"


def _title(framework: str) -> str:
    return {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}.get(framework, framework)
