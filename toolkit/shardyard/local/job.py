"""Runs one local job from start to the last clean-up, on either engine."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import docker

from shardyard.errors import JobError
from shardyard.local import outputs, processes
from shardyard.local.containers import ContainerJob
from shardyard.local.logs import FileTee, Sink
from shardyard.local.spec import JobResult, JobSpec
from shardyard.local.supervise import supervise


@contextmanager
def _temporary(name: str) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
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


def run_processes(job: JobSpec, output: Path, sink: Sink) -> JobResult:
    outputs.clear(output, job)
    with (
        _terminate_as_interrupt(),
        _temporary(job.name) as root,
        FileTee(sink, output, job.host_names) as tee,
    ):
        hosts: list[processes.ProcessHost] = []
        try:
            hosts = processes.start(job, root, keep_out=(output,))
            result = supervise(hosts, tee, job.timeout)
        finally:
            processes.finish(hosts)
            outputs.collect_processes(job, root, output)
    return _reported(result, job, output)


def run_containers(
    client: docker.DockerClient, image: str, job: JobSpec, output: Path, sink: Sink
) -> JobResult:
    outputs.clear(output, job)
    with (
        _terminate_as_interrupt(),
        _temporary(job.name) as root,
        FileTee(sink, output, job.host_names) as tee,
    ):
        containers = ContainerJob(client, image, job, root)
        problems: list[str] = []
        try:
            containers.start()
            result = supervise(containers.hosts, tee, job.timeout)
        finally:
            try:
                containers.stop()
                problems = containers.collect(output)
            finally:
                containers.remove()
    result = _reported(result, job, output)
    if problems and not result.job_exit_code:
        raise JobError("the job ended well, but " + "; ".join(problems))
    return result


def _reported(result: JobResult, job: JobSpec, output: Path) -> JobResult:
    outputs.read_failures(result, job, output)
    result.output = str(output)
    return result
