"""A project's settings as a local job."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from shardyard.errors import ProjectError
from shardyard.local import gpus
from shardyard.local.spec import CHECKPOINTS, Container, InstanceGroup, JobSpec, TimeLimit
from shardyard.project.model import Project
from shardyard.sagemaker.hyperparameters import MODEL_DIR, hyperparameters
from shardyard.sagemaker.open_values import OpenValues

GROUP = "homogeneousCluster"  # SageMaker's name for hosts that are all alike
DEFAULT_REGION = "us-east-1"
TIMEOUT_GRACE_S = 10.0
MAX_RUN_GRACE_S = 120.0  # SageMaker's, for a last checkpoint
UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def job_name(base: str) -> str:
    """Unique on this machine: two runs at once never meet."""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", base).strip("-")[:30] or "job"
    return f"shardyard-{plain}-{time.strftime('%H%M%S')}-{secrets.token_hex(3)}"


def local_job(project: Project, inputs: Mapping[str, Path] | None = None) -> JobSpec:
    """The job that a project describes; hosts and processes are what [run] (or a flag) says."""
    name = job_name(project.job.name or project.image.name)
    region = project.registry.region or os.environ.get("AWS_REGION")
    groups = _groups(project)
    hosts = [host for group in groups for host in group.hosts]
    run = project.run
    return JobSpec(
        name=name,
        program=project.image.entry_point,
        source_dir=project.source_dir,
        groups=groups,
        hyperparameters=_hyperparameters(project, name, region or DEFAULT_REGION),
        inputs=inputs or {},
        environment=dict(project.job.environment),
        region=region,
        limit=limit(run.timeout, project.job.max_run),
        checkpoints=project.path(run.checkpoints) if run.checkpoints else None,
        checkpoint_path=_checkpoint_path(project),
        gpus=_gpus(project, hosts),
        container=_container(project),
        needs_mpirun=project.distribution.mpi.enabled,
    )


def limit(timeout: float | None, max_run: int | None) -> TimeLimit | None:
    """The one that comes first."""
    given = [
        TimeLimit(timeout, "timeout", TIMEOUT_GRACE_S) if timeout else None,
        TimeLimit(max_run, "max_run", MAX_RUN_GRACE_S) if max_run else None,
    ]
    return min((one for one in given if one), key=lambda one: one.seconds, default=None)


def _groups(project: Project) -> tuple[InstanceGroup, ...]:
    """Hosts are numbered through all groups."""
    given, hosts = project.job.instance_groups, project.run.hosts or 1
    if not given:
        return (InstanceGroup(GROUP, _instance_type(project), _names(1, hosts)),)
    total = sum(group.instance_count for group in given)
    if hosts != total:
        raise ProjectError(
            f"[run] hosts is {hosts}, and the [job] instance_groups have {total}. Remove hosts"
        )
    groups, first = [], 1
    for group in given:
        groups.append(InstanceGroup(group.name, group.instance_type, _names(first, group.instance_count)))
        first += group.instance_count
    return tuple(groups)


def _names(first: int, count: int) -> tuple[str, ...]:
    return tuple(f"algo-{number}" for number in range(first, first + count))


def _instance_type(project: Project) -> str:
    return project.job.instance_type or ("local_gpu" if project.image.device == "gpu" else "local")


def _hyperparameters(project: Project, name: str, region: str) -> dict[str, Any]:
    """Those of the job on SageMaker, with the processes of [run]. A model_dir in S3 becomes the local one."""
    distribution = project.distribution
    if distribution.mpi.enabled:
        mpi = replace(distribution.mpi, processes_per_host=project.run.processes_per_host)
        distribution = replace(distribution, mpi=mpi)
    job = replace(project.job, instance_type=_instance_type(project))
    here = replace(project, distribution=distribution, job=job)
    values = hyperparameters(here, OpenValues(name, region, role_arn="", output_path=""))
    return values | ({"model_dir": MODEL_DIR} if project.image.framework == "tensorflow" else {})


def _checkpoint_path(project: Project) -> PurePosixPath:
    path = PurePosixPath(project.job.checkpoint_local_path or CHECKPOINTS)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 3:
        raise ProjectError(
            f"[job] checkpoint_local_path {str(path)!r} is no folder of its own in the container. "
            f"Type: checkpoint_local_path = '{CHECKPOINTS}', or remove it"
        )
    return path


def _gpus(project: Project, hosts: list[str]) -> dict[str, tuple[str, ...]]:
    if project.image.device != "gpu":
        return {}
    if project.run.gpus == []:
        return dict.fromkeys(hosts, ())
    ids = gpus.installed() if project.run.gpus is None else tuple(project.run.gpus)
    processes = project.run.processes_per_host if project.distribution.mpi.enabled else None
    return gpus.share_out(ids, hosts, processes)


def _container(project: Project) -> Container:
    run = project.run
    if run.shm_size and run.ipc == "host":
        raise ProjectError(
            f"[run] shm_size {run.shm_size!r} with ipc = 'host': /dev/shm is the machine's then. Remove one"
        )
    return Container(_bytes(run.shm_size) if run.shm_size else None, dict(run.ulimits), run.ipc)


def _bytes(text: str) -> int:
    unit = text[-1].lower()
    return int(text[:-1]) * UNITS[unit] if unit in UNITS else int(text)
