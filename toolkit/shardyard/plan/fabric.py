"""The Elastic Fabric Adapter: which flags the launcher of a base leaves out. Ours looks at the devices."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import instances
from shardyard.plan.mpi_options import WHERE, options
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_FABRIC = ("FI_PROVIDER=efa", "NCCL_PROTO=simple")
_REMOTE_MEMORY = ("FI_EFA_USE_DEVICE_RDMA=1",)


def flags(project: Project) -> Iterator[Finding]:
    """Types that came after the base's launcher: between hosts, NCCL would fall back to TCP."""
    job, mpi = project.job, project.distribution.mpi
    if project.image.runtime != "image" or not mpi.enabled or job.instance_count < 2 or not job.instance_type:
        return
    found = instances.find(job.instance_type)
    if found is None or not found.efa:
        return
    wanted = (() if found.toolkit_sets_efa else _FABRIC) + (
        _REMOTE_MEMORY if found.efa_rdma and not found.toolkit_sets_rdma else ()
    )
    given = {one.key for one in options(project) if one.flag == "x"} | set(job.environment)
    missing = [f"-x {one}" for one in wanted if one.partition("=")[0] not in given]
    if missing:
        text = f"{found.name} has EFA, for which the launcher of the base does not set {' '.join(missing)}"
        complete = " ".join([*([mpi.custom_mpi_options] if mpi.custom_mpi_options else []), *missing])
        remedy = (
            f'custom_mpi_options = "{complete}", or runtime = "bundled", which sets what the devices need'
        )
        yield Finding("warning", "efa-flags", WHERE, text, remedy)
