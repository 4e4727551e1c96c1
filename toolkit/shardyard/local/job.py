"""Runs one local job from start to the last clean-up, on either engine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import docker

from shardyard.errors import JobError, ProjectError
from shardyard.local import artifacts, checkpoints, containers, layout, outputs, processes
from shardyard.local.credentials import credentials
from shardyard.local.logs import FileTee, Sink
from shardyard.local.spec import JobResult, JobSpec
from shardyard.local.supervise import supervise


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does. Signals belong to the main thread; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_processes(job: JobSpec, root: Path, output: Path, sink: Sink) -> JobResult:
    """``root`` is an empty folder of the job's own."""
    if not job.checkpoint_path.is_relative_to(layout.ROOT):
        raise ProjectError(
            f"[job] checkpoint_local_path {str(job.checkpoint_path)!r} lies outside {str(layout.ROOT)!r}, which "
            "plain processes cannot be shown. Type: shardyard run --engine docker"
        )
    if job.checkpoints:
        checkpoints.prepare(job.checkpoints)
    outputs.clear(output)
    with FileTee(sink, output, job.host_names, outputs.LOG) as tee:
        hosts: list[processes.ProcessHost] = []
        problems: list[str] = []
        try:
            hosts = processes.start(job, root, keep_out=(output,))
            result = supervise(hosts, tee, job.limit)
        finally:
            processes.finish(hosts)
            problems = outputs.collect_processes(job, root, output)
            _archive(job, output, sink)
    return _reported(result, problems, job, output, sink)


def run_containers(
    client: docker.DockerClient, image: str, job: JobSpec, root: Path, output: Path, sink: Sink
) -> JobResult:
    """``root`` is an empty folder of the job's own."""
    if job.checkpoints:
        user = client.api.inspect_image(image)["Config"].get("User") or ""
        checkpoints.prepare(job.checkpoints, user)
    outputs.clear(output)
    with FileTee(sink, output, job.host_names, outputs.LOG) as tee:
        cluster = containers.ContainerJob(client, image, job, root, credentials())
        problems: list[str] = []
        try:
            cluster.start()
            result = supervise(cluster.hosts, tee, job.limit)
        finally:
            try:
                cluster.stop()
                problems = cluster.collect(output)
                if kept := checkpoints.give_back(client, image, job):
                    problems.append(kept)
                _archive(job, output, sink)
            finally:
                containers.remove(client, job.name)
    return _reported(result, problems, job, output, sink)


def _archive(job: JobSpec, output: Path, sink: Sink) -> None:
    for name in artifacts.pack(output, job.host_names):
        sink("shardyard", f"hosts wrote different files {name!r}: the archive has the first host's")


def _reported(result: JobResult, problems: list[str], job: JobSpec, output: Path, sink: Sink) -> JobResult:
    outputs.read_failures(result, job, output)
    result.output = str(output)
    if problems and not result.job_exit_code:
        raise JobError("the job ended well, but " + "; ".join(problems))
    for problem in problems:
        sink("shardyard", problem)
    return result
