"""``shardyard.run``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from shardyard.engines.connect import answering, connect, endpoint
from shardyard.errors import ProjectError
from shardyard.local import containers, gpus, processes
from shardyard.local.channels import channels
from shardyard.local.inputs import at_hand
from shardyard.local.job import run_containers, run_processes, terminate_as_interrupt
from shardyard.local.logs import Sink, TaggedSink
from shardyard.local.outputs import DEFAULT, claimed
from shardyard.local.plan import local_job
from shardyard.local.pull import ensure_image
from shardyard.local.spec import JobResult, JobSpec
from shardyard.local.workplace import clean_up, workplace
from shardyard.plan.findings import refuse_local
from shardyard.project.load import load

if TYPE_CHECKING:
    from shardyard.project.model import Project

TIMELINE = {"SHARDYARD_TIMELINE": "10"}  # steps of each function; [job] environment may say another number
Results = Callable[[], AbstractContextManager[Path]]  # claims the folder of outputs, when all else is there


def run(
    project: str | Path = ".",
    *,
    hosts: int | None = None,
    processes_per_host: int | None = None,
    inputs: Mapping[str, str | Path] | None = None,
    output: str | Path | None = None,
    checkpoints: str | Path | None = None,
    engine: str | None = None,
    timeout: float | None = None,
    image: str | None = None,
    pull: str | None = None,
    timeline: bool = False,
    log: TextIO | None = None,
) -> JobResult:
    """Runs the job under the SageMaker contract on this machine; a failed job is a result, not an exception.

    The log of all hosts goes to ``log`` (standard output), each line tagged with its host. Models, outputs
    and logs are under ``<output>/algo-i``, by default ``.shardyard/run`` in the project (``run-2`` while another
    job writes there). ``inputs`` are paths or S3 URIs; ``checkpoints`` is a folder that is kept.
    With ``timeline`` what every rank did is recorded, for ``shardyard.report``.
    """
    flags = {
        "run.hosts": hosts,
        "run.processes_per_host": processes_per_host,
        "run.engine": engine,
        "run.timeout": timeout,
        "run.checkpoints": str(Path(checkpoints).expanduser().absolute()) if checkpoints else None,
        "run.pull": pull,
    }
    loaded = load(project, flags)
    refuse_local(loaded)
    _refuse_flags(loaded, image, pull, timeline)
    given = channels(loaded, inputs)
    job = local_job(loaded)
    if timeline:
        job = replace(job, environment={**TIMELINE, **job.environment})
    sink = TaggedSink(log or sys.stdout)
    _say_gpus(loaded, job, sink)
    own = Path(output).expanduser().absolute() if output else None
    place = own or loaded.path(loaded.run.output or DEFAULT)
    results = partial(claimed, place, elsewhere=own is None)
    with terminate_as_interrupt():
        if loaded.run.engine == "process":
            return _processes(loaded, job, given, results, sink)
        return _containers(loaded, job, given, results, image, sink)


def _processes(
    project: Project, job: JobSpec, given: Mapping[str, Path | str], results: Results, sink: Sink
) -> JobResult:
    for name in clean_up("process", lambda name: bool(processes.sweep(name))):
        sink("shardyard", f"ended what was left of {name}, whose command was killed")
    with workplace(job.name, "process") as root:
        here = replace(
            job,
            inputs=at_hand(given, root, job.region, sink),
            environment=project.image.env | dict(job.environment),
        )
        with results() as output:
            return run_processes(here, root, output, sink)


def _containers(
    project: Project,
    job: JobSpec,
    given: Mapping[str, Path | str],
    results: Results,
    image: str | None,
    sink: Sink,
) -> JobResult:
    client = connect()
    reference, where = image or project.local_tag, f"docker {endpoint()}"
    with answering(f"the job {job.name!r}"):
        for name in clean_up(where, lambda name: containers.remove(client, name)):
            sink("shardyard", f"removed what was left of {name}, whose command was killed")
        ensure_image(client, reference, project.image.platform, project.image.engine, project.run.pull, sink)
        with workplace(job.name, where) as root:
            here = replace(job, inputs=at_hand(given, root, job.region, sink))
            with results() as output:
                return run_containers(client, reference, here, root, output, sink)


def _refuse_flags(project: Project, image: str | None, pull: str | None, timeline: bool) -> None:
    """What would have no effect."""
    runtime = (project.image.framework, project.image.runtime)
    if timeline and runtime != ("pytorch", "bundled"):
        raise ProjectError(
            f"'--timeline': the runtime for PyTorch records it, and the project has [image] framework = "
            f"{runtime[0]!r}, runtime = {runtime[1]!r}. Remove it"
        )
    if project.run.engine == "process" and (image or pull):
        flag = f"--image {image}" if image else f"--pull {pull}"
        raise ProjectError(f"{flag!r}: plain processes need no image. Remove it, or type: --engine docker")


def _say_gpus(project: Project, job: JobSpec, sink: Sink) -> None:
    if text := gpus.shared(job.gpus):
        sink("shardyard", text)
    if project.image.device == "gpu" and not any(job.gpus.values()):
        sink("shardyard", "no GPU for the job: it runs on the CPU")
