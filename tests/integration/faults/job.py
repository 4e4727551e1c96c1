"""Hosts of one job as containers on a network of their own, started straight through the engine."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import tarfile
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import docker

# Every script says when it is ready and its process id, and, just before it, when a fault of its own comes.
PRELUDE = """\
import os, pathlib, signal, sys, time

def fault():
    print("FAULT", time.time(), flush=True)

def wait_for_go():
    while not os.path.exists("/tmp/go"):
        time.sleep(0.02)

from mpi4py import MPI
world = MPI.COMM_WORLD
rank, host = world.rank, os.environ["SM_CURRENT_HOST"]
print(f"PID of {rank} is {os.getpid()};", flush=True)
world.Barrier()
print("READY", flush=True)
"""


@dataclass
class Report:
    codes: dict[str, int]
    logs: dict[str, str]
    failures: dict[str, str]
    ended: dict[str, float]

    @property
    def everything(self) -> str:
        return "\n".join(f"--- {name} ({self.codes.get(name)})\n{log}" for name, log in self.logs.items())


@dataclass
class ContainerJob:
    client: docker.DockerClient
    image: str
    script: str
    hosts: int = 2
    per_host: int = 2
    hyperparameters: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # for the engine, of every container
    files: dict[str, dict[str, str]] = field(default_factory=dict)  # host -> path under /opt/ml -> content
    absent: tuple[str, ...] = ()
    output_bytes: int = 0  # the size of the file system at /opt/ml/output, when it is one of its own
    prelude: str = PRELUDE
    command: tuple[str, ...] = ("first.sh",)
    keep_log: bool = True  # else only its lines are counted

    def __post_init__(self) -> None:
        self.names = [f"algo-{number}" for number in range(1, self.hosts + 1)]
        self.name = f"faults-{secrets.token_hex(4)}"
        self.containers: dict[str, Any] = {}
        self.network: Any = None
        self._keepers: dict[str, Any] = {}
        self.line_counts: dict[str, Counter[bytes]] = {name: Counter() for name in self.names}
        self._logs = {name: bytearray() for name in self.names}
        self._grown = threading.Condition()
        self._followers: list[threading.Thread] = []

    def start(self) -> None:
        self.network = self.client.networks.create(self.name, driver="bridge")
        for name in self.names:
            if name not in self.absent:
                self.containers[name] = self._create(name)
        with ThreadPoolExecutor() as pool:  # together, as a platform does: their time limits run from here
            list(pool.map(lambda container: container.start(), self.containers.values()))
        for name, container in self.containers.items():
            self._followers.append(threading.Thread(target=self._follow, args=(name, container), daemon=True))
            self._followers[-1].start()

    def wait_for(self, text: str, count: int = 1, host: str = "algo-1", timeout: float = 60) -> None:
        """Until the log of a host holds the text so many times."""
        with self._grown:
            found = self._grown.wait_for(lambda: self._logs[host].count(text.encode()) >= count, timeout)
        assert found, f"{text!r} is not in the log of {host} {count} times:\n{self.log(host)}"

    def wait_ready(self) -> None:
        self.wait_for("READY", self.hosts * self.per_host)

    def pid_of(self, rank: int) -> int:
        """As seen in its own container."""
        self.wait_for(f"PID of {rank} is ")
        return int(self.log("algo-1").split(f"PID of {rank} is ")[1].split(";")[0])

    def run_in(self, host: str, command: str) -> str:
        return str(self.containers[host].exec_run(["sh", "-c", command], user="root").output.decode())

    def log(self, host: str) -> str:
        return self._logs[host].decode(errors="backslashreplace")

    def finish(self, timeout: float = 60) -> Report:
        """Waits for every container, and takes what each of them left."""
        deadline = time.monotonic() + timeout
        codes, ended, failures = {}, {}, {}
        for name, container in self.containers.items():
            with contextlib.suppress(Exception):  # still running: no code
                left = max(0.1, deadline - time.monotonic())
                codes[name] = int(container.wait(timeout=left)["StatusCode"])
            container.reload()
            ended[name] = _seconds(container.attrs["State"]["FinishedAt"])
            failures[name] = self.read(name, "/opt/ml/output/failure")
        for follower in self._followers:
            follower.join(120 if len(codes) == len(self.containers) else 0.1)
        return Report(codes, {name: self.log(name) for name in self.containers}, failures, ended)

    def read(self, host: str, path: str) -> str:
        return self.read_bytes(host, path).decode()

    def read_bytes(self, host: str, path: str) -> bytes:
        """Empty when there is no such file."""
        try:
            chunks, _ = self._keepers.get(host, self.containers[host]).get_archive(path)
        except docker.errors.APIError:  # not there, or on a file system that went with the container
            return b""
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            assert member is not None
            return member.read()

    def remove(self) -> None:
        for container in [*self.containers.values(), *self._keepers.values()]:
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)
        for name in self._keepers:
            self.client.volumes.get(f"{self.name}-{name}").remove(force=True)
        if self.network is not None:
            with contextlib.suppress(docker.errors.APIError):
                self.network.remove()

    def _keep_output(self, name: str) -> dict[str, dict[str, str]]:
        """A small file system in memory, which lives as long as a second container holds it."""
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={self.output_bytes}"}
        self.client.volumes.create(f"{self.name}-{name}", driver="local", driver_opts=options)
        volumes = {f"{self.name}-{name}": {"bind": "/opt/ml/output", "mode": "rw"}}
        keeper = self.client.containers.run(self.image, ["sleep", "600"], volumes=volumes, detach=True)
        self._keepers[name] = keeper
        return volumes

    def _create(self, name: str) -> Any:
        options = {
            "volumes": self._keep_output(name) if self.output_bytes else None,
            **self.options,
        }
        container = self.client.containers.create(
            self.image,
            command=list(self.command),
            name=f"{self.name}-{name}",
            hostname=name,
            environment={"SHARDYARD_HOST_TIMEOUT": "3", "SHARDYARD_STOP_GRACE": "2", **self.environment},
            network=self.name,
            networking_config={self.name: self.client.api.create_endpoint_config(aliases=[name])},
            **options,
        )
        container.put_archive("/opt/ml", self._opt_ml(name))
        return container

    def _opt_ml(self, name: str) -> bytes:
        resource = {"current_host": name, "hosts": self.names, "network_interface_name": "eth0"}
        values = {
            "sagemaker_mpi_enabled": "true",
            "sagemaker_mpi_num_of_processes_per_host": str(self.per_host),
            **self.hyperparameters,
        }
        files = {
            "code/train.py": self.prelude + textwrap.dedent(self.script),
            "input/config/hyperparameters.json": json.dumps(values),
            "input/config/resourceconfig.json": json.dumps(resource),
            "input/config/inputdataconfig.json": "{}",
            **self.files.get(name, {}),
        }
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(text.encode()), 0o755
                archive.addfile(entry, io.BytesIO(text.encode()))
        return packed.getvalue()

    def _follow(self, name: str, container: Any) -> None:
        for chunk in container.logs(stream=True, follow=True):
            with self._grown:
                self._logs[name] += chunk
                if not self.keep_log:
                    whole, _, rest = self._logs[name].rpartition(b"\n")
                    self.line_counts[name].update(bytes(whole).split(b"\n"))
                    self._logs[name] = rest
                self._grown.notify_all()


def _seconds(stamp: str) -> float:
    """The engine writes nanoseconds, which `datetime` does not read."""
    head, _, tail = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{tail or 0}")
