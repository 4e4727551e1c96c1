"""``shardyard.run``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from shardyard.engines.connect import answering, connect
from shardyard.errors import ProjectError
from shardyard.local.job import run_containers, run_processes
from shardyard.local.logs import TaggedSink
from shardyard.local.plan import local_job
from shardyard.local.pull import ensure_image
from shardyard.local.spec import JobResult
from shardyard.plan.findings import refuse_local
from shardyard.project.load import load

ENGINES = ("docker", "process")
DEFAULT_OUTPUT = ".shardyard/run"  # a folder that never enters an image


def run(
    project: str | Path = ".",
    *,
    hosts: int | None = None,
    processes_per_host: int | None = None,
    inputs: Mapping[str, str | Path] | None = None,
    output: str | Path | None = None,
    engine: str | None = None,
    timeout: float | None = None,
    image: str | None = None,
    log: TextIO | None = None,
) -> JobResult:
    """Runs the job under the SageMaker contract on this machine; a failed job is a result, not an exception.

    The log of all hosts goes to ``log`` (standard output), each line tagged with its host. Models, outputs
    and logs are under ``<output>/algo-i``, by default ``.shardyard/run`` in the project.
    """
    if engine is not None and engine not in ENGINES:
        raise ProjectError(f"engine {engine!r} is unknown; use one of: {', '.join(ENGINES)}")
    flags = {
        "run.hosts": hosts,
        "run.processes_per_host": processes_per_host,
        "run.engine": engine,
        "run.timeout": timeout,
    }
    loaded = load(project, flags)
    refuse_local(loaded)
    job = local_job(loaded, inputs)
    place = (
        Path(output).expanduser().absolute() if output else loaded.path(loaded.run.output or DEFAULT_OUTPUT)
    )
    sink = TaggedSink(log or sys.stdout)
    if loaded.run.engine == "process":
        return run_processes(replace(job, environment=loaded.image.env | job.environment), place, sink)
    client = connect()
    reference = image or loaded.local_tag
    ensure_image(client, reference, loaded.image.platform, loaded.image.engine)
    with answering(f"the job {job.name!r}"):
        return run_containers(client, reference, job, place, sink)
