"""What works here, but what the SageMaker Python SDK v2 refuses when an estimator is made.

A note where the code of ``shardyard estimator`` goes past the refusal, a warning where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from shardyard.catalog import instances
from shardyard.plan.parameters import WHERE, configuration
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameters import SmpConfig
from shardyard_runtime.config.placement import ALIASES

_SDK = "the SageMaker Python SDK v2"
_PAST = "the code of shardyard estimator goes past that"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def _flag(value: Any) -> bool:
    return value in (True, False)


# What the SDK wants of a value, in the words of its own check, and how to say it so that both accept it.
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("microbatches", "partitions", "active_microbatches"), (_whole, "a whole number, 1 not 1.0")
    ),
    **dict.fromkeys(
        ("auto_partition", "contiguous", "load_partition", "horovod", "ddp", "deterministic_server"),
        (_flag, "true or false"),
    ),
    "pipeline": (
        lambda value: value in ("simple", "interleaved", "_only_forward"),
        "'simple' or 'interleaved'",
    ),
    "optimize": (lambda value: value in ("speed", "memory"), "'speed' or 'memory'"),
    "memory_weight": (lambda value: isinstance(value, (int, float)), "a number from 0 to 1"),
    "partition_file": (lambda value: isinstance(value, str), "a path"),
    "ddp_port": (lambda value: isinstance(value, int), "a whole number"),
}


def values(project: Project) -> Iterator[Finding]:
    """Spellings that the runtime reads and the SDK does not, null among them."""
    block = project.distribution.model_parallel
    if configuration(project) is None or block is None:
        return
    for name, (fits, wanted) in _WANTED.items():
        if name in block.parameters and not fits(block.parameters[name]):
            text = f"{block.parameters[name]!r} works here, but {_SDK} refuses it"
            yield Finding("warning", "sdk-value", f"{WHERE}.{name}", text, f"write {wanted}, or remove it")


def keys(project: Project) -> Iterator[Finding]:
    """Keys that the SDK looks for beside others."""
    block = project.distribution.model_parallel
    if block is None:
        return
    given = block.parameters
    if "default_partition" in given and "partitions" not in given:
        text = f"stands without partitions, and {_SDK} ends with KeyError then; {_PAST}"
        degree = given.get("pipeline_parallel_degree") or 1
        yield Finding("note", "sdk-partitions", f"{WHERE}.default_partition", text, f"partitions = {degree}")
    for name in ("ddp_dist_backend", "ddp_port"):
        if name in given and "ddp" not in given:
            text = f"stands without ddp, which {_SDK} refuses"
            yield Finding("warning", "sdk-ddp", f"{WHERE}.{name}", text, "ddp = true, or remove it")


def placement(project: Project) -> Iterator[Finding]:
    """Permutations of D, P and T, which the documentation names and the SDK's own check refuses."""
    config = configuration(project)
    if config is None or config.placement_strategy in ALIASES:
        return
    order = config.placement_strategy
    same = next((name for name in ALIASES if _alike(order, ALIASES[name], config)), None)
    text = f"{order!r} works here, but {_SDK} lets only 'cluster' and 'spread' pass; {_PAST}"
    remedy = f'placement_strategy = "{same}" places these ranks the same way' if same else ""
    yield Finding("note", "sdk-placement", f"{WHERE}.placement_strategy", text, remedy)


def _alike(order: str, other: str, config: SmpConfig) -> bool:
    """Whether two orders place alike: a letter whose degree is 1 may stand anywhere."""
    moving = {"P": config.pipeline_parallel_degree > 1, "T": config.tensor_parallel_degree > 1, "D": True}
    return [one for one in order if moving[one]] == [one for one in other if moving[one]]


def instance(project: Project) -> Iterator[Finding]:
    """Instance types on which the SDK refuses the strategy, whatever the image holds."""
    name = project.job.instance_type
    if not name or project.distribution.model_parallel is None:
        return
    found = instances.find(name)
    where = "job.instance_type"
    if name == "ml.p5.48xlarge":
        text = f"{name}: {_SDK} refuses smdistributed there; {_PAST}"
        yield Finding("note", "sdk-instance", where, text)
    elif found is not None and found.kind == "trainium":
        text = f"{name}: {_SDK} lets only torch_distributed pass on Trainium"
        yield Finding("warning", "sdk-instance", where, text, "choose a GPU type")
    elif name == "local_gpu" and project.job.instance_count > 1:
        text = f"'local_gpu' with instance_count {project.job.instance_count}: {_SDK} refuses it"
        remedy = f"shardyard run --hosts {project.job.instance_count}"
        yield Finding("warning", "sdk-instance", "job.instance_count", text, remedy)
