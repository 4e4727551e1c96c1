"""The distribution: strategies, parameters, MPI, and whether the numbers multiply out."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameters import ParameterError, SmpConfig, parse
from shardyard_runtime.config.placement import ALIASES

_PARAMETERS = "distribution.smdistributed.modelparallel.parameters"
_PROCESSES = "distribution.mpi.processes_per_host"
NOT_BUILT = "not built yet"


def configuration(project: Project) -> SmpConfig | None:
    """The parsed parameters; None where they are wrong, or model parallelism is off."""
    block = project.distribution.model_parallel
    try:
        return parse(block.parameters, framework=project.image.framework) if block else None
    except ParameterError:
        return None


def processes(project: Project) -> int | None:
    """How many processes the job has; None while processes_per_host is not known."""
    mpi = project.distribution.mpi
    return mpi.processes_per_host * project.job.instance_count if mpi.processes_per_host else None


def strategies(project: Project) -> Iterator[Finding]:
    """At most one strategy, and one that is switched on."""
    smd = project.distribution.smdistributed
    if smd.modelparallel and smd.dataparallel:
        text = "holds both modelparallel and dataparallel; only one may stand there, even switched off"
        yield Finding("error", "two-strategies", "distribution.smdistributed", text, "remove dataparallel")
    if smd.modelparallel and not smd.modelparallel.enabled and smd.modelparallel.parameters:
        where = "distribution.smdistributed.modelparallel.enabled"
        yield Finding(
            "warning", "not-enabled", where, "is false, so the parameters do nothing", "enabled = true"
        )


def parameters(project: Project) -> Iterator[Finding]:
    """What the runtime itself says of the parameters."""
    block = project.distribution.model_parallel
    if block is None:
        return
    try:
        found = list(parse(block.parameters, framework=project.image.framework).warnings)
    except ParameterError as error:
        found = error.findings
    for one in found:
        if project.image.runtime == "image" and one.message.endswith(NOT_BUILT):
            continue  # the library of the base may have it
        level = "error" if one.level == "error" else "warning"
        yield Finding(level, "parameter", f"{_PARAMETERS}.{one.name}", one.message, one.remedy)  # type: ignore[arg-type]
    if not {"partitions", "pipeline_parallel_degree"} & block.parameters.keys():
        text = "neither partitions nor pipeline_parallel_degree is given: the model is not partitioned"
        yield Finding("warning", "no-partitions", _PARAMETERS, text, "partitions = 2")
    if "pipeline_parallel_degree" in block.parameters and "partitions" not in block.parameters:
        text = "pipeline_parallel_degree stands without partitions, which the SDK's own check looks for"
        if "default_partition" in block.parameters:
            yield Finding(
                "warning", "sdk-partitions", _PARAMETERS, text, "add partitions with the same value"
            )


def placement(project: Project) -> Iterator[Finding]:
    """Orders that work here, but that the SDK's own check refuses when an estimator is made."""
    config = configuration(project)
    if config is None or config.placement_strategy in ALIASES:
        return
    order = config.placement_strategy
    same = next((name for name in ALIASES if _fits(order, ALIASES[name], config)), None)
    text = f"{order!r} works here, but the SageMaker Python SDK v2 lets only 'cluster' and 'spread' pass"
    remedy = (
        f'placement_strategy = "{same}", which places these ranks the same way'
        if same
        else 'choose "cluster" or "spread", or start the job with boto3: its create_training_job checks nothing'
    )
    yield Finding("warning", "sdk-placement", f"{_PARAMETERS}.placement_strategy", text, remedy)


def _fits(order: str, other: str, config: SmpConfig) -> bool:
    """Whether two orders place alike: a letter whose degree is 1 may stand anywhere."""
    moving = {"P": config.pipeline_parallel_degree > 1, "T": config.tensor_parallel_degree > 1, "D": True}
    return [one for one in order if moving[one]] == [one for one in other if moving[one]]


def mpi(project: Project) -> Iterator[Finding]:
    """Model parallelism starts its processes through MPI."""
    given = project.distribution.mpi
    if project.distribution.model_parallel and not given.enabled:
        text = "is not switched on: without MPI the script runs once a host, and nothing is parallel"
        yield Finding("error", "no-mpi", "distribution.mpi.enabled", text, "enabled = true")
    if given.enabled and given.processes_per_host is None:
        text = "is missing: how many processes, one a device, each host runs"
        yield Finding("error", "no-processes", _PROCESSES, text, "processes_per_host = 8")


def arithmetic(project: Project) -> Iterator[Finding]:
    """Degrees against processes, every factor spelled out."""
    config, size = configuration(project), processes(project)
    if config is None or size is None or not project.distribution.mpi.enabled:
        return
    hosts, each = project.job.instance_count, size // project.job.instance_count
    pp, tp = config.pipeline_parallel_degree, config.tensor_parallel_degree
    product = f"processes_per_host {each} × instance_count {hosts} = {size} processes"
    needed = f"pipeline_parallel_degree {pp} × tensor_parallel_degree {tp} = {pp * tp}"
    if size % (pp * tp):
        below, above = size - size % (pp * tp), size + (-size) % (pp * tp)
        remedy = (
            f"use {above} processes"
            + (f" or {below}" if below else "")
            + f", or degrees whose product divides {size}"
        )
        text = f"{product}, which {needed} does not divide"
        yield Finding("error", "arithmetic", _PROCESSES, text, remedy)
        return
    replicas = size // (pp * tp)
    if replicas > 1 and not config.ddp and not config.horovod:
        text = f"{product} give {replicas} replicas of {needed}, but ddp is off: they would not be averaged"
        yield Finding("warning", "no-ddp", f"{_PARAMETERS}.ddp", text, "ddp = true")
    straddles = each % pp and pp % each
    if pp > 1 and straddles and config.placement_strategy == "cluster":
        text = (
            f"{each} processes a host and {pp} partitions do not divide: replicas lie unevenly across hosts"
        )
        yield Finding("warning", "straddling", _PROCESSES, text)
