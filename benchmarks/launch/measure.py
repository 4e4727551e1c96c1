"""One job of one launcher: from the common start of its hosts to the end of the last."""

from __future__ import annotations

import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.integration.faults.job import ContainerJob

OURS = "/opt/shardyard/bin/train"
INCUMBENT = "/opt/venv/bin/train"
# All hosts are up before any of them starts its launcher: the engine's own time is not measured.
COMMAND = 'echo WAITING; read line < /gate/fifo; exec "$0"'
SCRIPT = """
import os, time

def say(word):  # in one write: the incumbent cuts output at the ends of its reads
    os.write(1, f"{word} {time.time()}\\n".encode())

say("FIRST")
from mpi4py import MPI
MPI.COMM_WORLD.Barrier()
say("LAST")
"""


@dataclass
class Timing:
    start: float  # until the last rank runs the first line of the user's script
    end: float  # from the last line of the last rank to the end of the last container


def run(
    client: docker.DockerClient, image: str, launcher: str, hosts: int, per_host: int, to_the_end: bool
) -> Timing:
    with tempfile.TemporaryDirectory(prefix="bench-launch-") as folder:
        fifo = Path(folder) / "fifo"
        os.mkfifo(fifo)
        job = ContainerJob(
            client,
            image,
            SCRIPT,
            hosts=hosts,
            per_host=per_host,
            prelude="",
            command=("sh", "-c", COMMAND, launcher),
            environment={"SHARDYARD_HOST_TIMEOUT": "60"},
            options={"volumes": {folder: {"bind": "/gate", "mode": "ro"}}},
        )
        try:
            return _measure(job, fifo, to_the_end)
        finally:
            job.remove()


def _measure(job: ContainerJob, fifo: Path, to_the_end: bool) -> Timing:
    ranks = job.hosts * job.per_host
    job.start()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: job.wait_for("WAITING", host=host), job.names))
    with open(fifo, "w"):
        time.sleep(0.3)  # those that have said so but not opened the gate yet; closing it is the start
    began = time.time()
    job.wait_for("LAST", ranks, timeout=300)
    first, last = (_times(job.log("algo-1"), word) for word in ("FIRST", "LAST"))
    assert len(first) == len(last) == ranks, job.log("algo-1")
    if not to_the_end:
        return Timing(max(first) - began, float("nan"))
    report = job.finish(timeout=300)
    assert set(report.codes.values()) == {0}, report.everything
    return Timing(max(first) - began, max(report.ended.values()) - max(last))


def _times(log: str, word: str) -> list[float]:
    return [float(found) for found in re.findall(rf"{word} (\d+\.\d+)", log)]
