"""A project's settings as a local job."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from shardyard.errors import ProjectError
from shardyard.local.spec import JobSpec
from shardyard.project.model import Project

CHANNEL = re.compile(r"^[A-Za-z0-9._-]+$")
RESERVED = "code"


def job_name(base: str) -> str:
    """Unique on this machine: two runs at once never meet."""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", base).strip("-")[:30] or "job"
    return f"shardyard-{plain}-{time.strftime('%H%M%S')}-{secrets.token_hex(3)}"


def channels(project: Project, given: Mapping[str, str | Path] | None) -> dict[str, Path]:
    """[run] inputs, then those of the command line, which are relative to the working folder."""
    found = {name: project.path(path) for name, path in project.run.inputs.items()}
    found |= {name: Path(path).expanduser().absolute() for name, path in (given or {}).items()}
    for name, path in found.items():
        if not CHANNEL.match(name):
            raise ProjectError(f"input channel {name!r} may hold letters, digits, '.', '_' and '-' only")
        if not path.exists():
            raise ProjectError(f"input {name!r}: there is no {str(path)!r}")
    return found


def local_job(project: Project, inputs: Mapping[str, str | Path] | None = None) -> JobSpec:
    """The job that a project describes; hosts and processes are what [run] (or a flag) says."""
    parallel = project.distribution.model_parallel
    mpi, run = project.distribution.mpi, project.run
    return JobSpec(
        name=job_name(project.job.name or project.image.name),
        program=project.image.entry_point,
        source_dir=project.source_dir,
        hosts=run.hosts or 1,
        processes_per_host=run.processes_per_host or 1,
        instance_type=project.job.instance_type
        or ("local_gpu" if project.image.device == "gpu" else "local"),
        hyperparameters=dict(project.job.hyperparameters),
        mpi_enabled=mpi.enabled,
        custom_mpi_options=mpi.custom_mpi_options,
        smdistributed=project.distribution.smdistributed.modelparallel is not None,
        mp_parameters=dict(parallel.parameters) if parallel else {},
        inputs=channels(project, inputs),
        environment=dict(project.job.environment),
        region=project.registry.region or os.environ.get("AWS_REGION"),
        timeout=run.timeout,
        framework=project.image.framework,
    )
