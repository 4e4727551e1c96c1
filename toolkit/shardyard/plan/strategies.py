"""Which strategies are switched on, and what starts their processes."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import instances
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_SMD = "distribution.smdistributed"


def one_strategy(project: Project) -> Iterator[Finding]:
    """The SDK counts what stands there, not what is enabled."""
    smd = project.distribution.smdistributed
    if smd.modelparallel and smd.dataparallel:
        off = (
            "modelparallel" if smd.dataparallel.enabled and not smd.modelparallel.enabled else "dataparallel"
        )
        text = "holds both modelparallel and dataparallel; only one may stand there, even switched off"
        yield Finding("error", "two-strategies", _SMD, text, f"remove [{_SMD}.{off}]")


def enabled(project: Project) -> Iterator[Finding]:
    """A block that is not enabled does nothing; without the word it is an oversight."""
    smd = project.distribution.smdistributed
    for name, block in (("modelparallel", smd.modelparallel), ("dataparallel", smd.dataparallel)):
        if block is None or block.enabled:
            continue
        where = f"{_SMD}.{name}.enabled"
        if "enabled" not in block.given:
            text = "is not given, and only true switches the strategy on: all of the block would be ignored"
            yield Finding("error", "not-enabled", where, text, "enabled = true")
        elif block.given - {"enabled"}:
            text = "is false, so the rest of the block does nothing"
            yield Finding("warning", "not-enabled", where, text, "enabled = true")


def mpi(project: Project) -> Iterator[Finding]:
    """Model parallelism starts its processes through MPI."""
    given = project.distribution.mpi
    key = "distribution.mpi.enabled"
    if project.distribution.model_parallel and not given.enabled:
        text = "is not switched on: without MPI the script runs once a host, and nothing is parallel"
        yield Finding("error", "no-mpi", key, text, "enabled = true")
    elif given.given and "enabled" not in given.given:
        text = "is not given, so the rest of [distribution.mpi] does nothing"
        yield Finding("warning", "no-mpi", key, text, "enabled = true")
    if given.enabled and given.processes_per_host is None:
        where = "distribution.mpi.processes_per_host"
        text = "is missing: how many processes, one a device, each host runs"
        yield Finding("error", "no-processes", where, text, "processes_per_host = 8")


def data_parallel(project: Project) -> Iterator[Finding]:
    """The vendor's data-parallel library: only some instance types have what it needs."""
    block, job = project.distribution.smdistributed.dataparallel, project.job
    if block is None or not block.enabled:
        return
    where = f"{_SMD}.dataparallel"
    if project.image.device == "cpu":
        text = "needs GPUs, but image.device is 'cpu'"
        yield Finding("error", "smddp-device", where, text, 'device = "gpu"')
    found = instances.find(job.instance_type) if job.instance_type else None
    if found is not None and not found.smddp:
        fitting = ", ".join(name for name in instances.names() if _has_smddp(name))
        text = f"is not published to work on {found.name}; the SDK's list is {fitting}"
        yield Finding("warning", "smddp-instance", where, text, 'instance_type = "ml.p4d.24xlarge"')


def _has_smddp(name: str) -> bool:
    found = instances.find(name)
    return found is not None and found.smddp
