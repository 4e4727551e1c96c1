"""Whether degrees, processes and hosts multiply out."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.plan.parameters import WHERE, configuration
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameters import SmpConfig

_PROCESSES = "distribution.mpi.processes_per_host"


def processes(project: Project) -> int | None:
    """How many processes the job has; None while processes_per_host is not known."""
    mpi = project.distribution.mpi
    return mpi.processes_per_host * project.job.instance_count if mpi.processes_per_host else None


def degrees(project: Project) -> Iterator[Finding]:
    """Degrees against processes, every factor spelled out."""
    for config, size in _both(project):
        pp, tp = config.pipeline_parallel_degree, config.tensor_parallel_degree
        if size % (pp * tp):
            below, above = size - size % (pp * tp), size + (-size) % (pp * tp)
            remedy = f"use {above} processes" + (f" or {below}" if below else "")
            remedy += f", or degrees whose product divides {size}"
            text = f"{_product(project, size)}, which {_needed(config)} does not divide"
            yield Finding("error", "arithmetic", _PROCESSES, text, remedy)


def sharding(project: Project) -> Iterator[Finding]:
    """Sharded data parallelism deals the state over the data-parallel ranks."""
    for config, size in _both(project):
        replicas, rest = divmod(size, config.pipeline_parallel_degree)
        shards = config.sharded_data_parallel_degree
        if shards > 1 and not rest and replicas % shards:
            text = f"{shards} does not divide the {replicas} data-parallel ranks of {_product(project, size)}"
            fits = [str(one) for one in range(2, min(replicas, 64) + 1) if replicas % one == 0]
            where = f"{WHERE}.sharded_data_parallel_degree"
            yield Finding("error", "sharding", where, text, f"use {' or '.join(fits) or 1}")


def replicas(project: Project) -> Iterator[Finding]:
    """Replicas whose gradients nobody averages."""
    for config, size in _both(project):
        count, rest = divmod(size, config.pipeline_parallel_degree * config.tensor_parallel_degree)
        if not rest and count > 1 and not config.ddp and not config.horovod:
            text = f"{_product(project, size)} give {count} replicas of {_needed(config)}, but ddp is off: "
            yield Finding(
                "warning", "no-ddp", f"{WHERE}.ddp", text + "they would not be averaged", "ddp = true"
            )


def straddling(project: Project) -> Iterator[Finding]:
    """Replicas that lie across hosts in different ways."""
    for config, size in _both(project):
        each, pp = size // project.job.instance_count, config.pipeline_parallel_degree
        uneven = project.job.instance_count > 1 and each % pp and pp % each and not size % pp
        if uneven and config.placement_strategy == "cluster":
            text = f"{each} processes a host and {pp} partitions do not divide: replicas lie unevenly across hosts"
            yield Finding("warning", "straddling", _PROCESSES, text, f"processes_per_host = {pp}")


def _both(project: Project) -> Iterator[tuple[SmpConfig, int]]:
    config, size = configuration(project), processes(project)
    if config is not None and size is not None and project.distribution.mpi.enabled:
        yield config, size


def _product(project: Project, size: int) -> str:
    hosts = project.job.instance_count
    return f"processes_per_host {size // hosts} × instance_count {hosts} = {size} processes"


def _needed(config: SmpConfig) -> str:
    pp, tp = config.pipeline_parallel_degree, config.tensor_parallel_degree
    return f"pipeline_parallel_degree {pp} × tensor_parallel_degree {tp} = {pp * tp}"
