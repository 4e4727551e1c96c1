"""A job with MPI through either launcher, in one image that has both, one container a host."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from tests.integration.faults.job import ContainerJob
from tests.integration.parity.seen import REPORT, SHELL, observed

LAUNCHERS = {"ours": "/opt/shardyard/bin/train", "theirs": "/opt/venv/bin/train"}
RANK = "OMPI_COMM_WORLD_RANK"
# Each rank writes down what it sees, then says so, in one write: the incumbent cuts output where its reads end.
PYTHON = (
    REPORT.replace('"seen.json"', f'"seen-" + os.environ["{RANK}"] + ".json"') + 'os.write(1, b"SEEN\\n")\n'
)
COMMAND = SHELL.replace("/../words", f"/../words-${RANK}").replace("/../variables", f"/../variables-${RANK}")
COMMAND = COMMAND.replace("/../folder", f"/../folder-${RANK}") + "echo SEEN\n"


@dataclass
class MpiTree:
    name: str
    hosts: int = 1
    per_host: int = 2
    script: str = PYTHON
    values: dict[str, str] = field(default_factory=dict)  # further hyperparameters
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # below /opt/ml, on every host
    resource: dict[str, Any] = field(default_factory=dict)  # further keys of resourceconfig.json
    idle: int = 0  # places without a rank

    @property
    def ranks(self) -> int:
        return self.hosts * self.per_host - self.idle


@dataclass
class MpiResult:
    base: Path  # /opt/ml of each host, below its name
    log: str
    codes: dict[str, int] = field(default_factory=dict)  # none when the end was not waited for
    ended: dict[str, float] = field(default_factory=dict)

    def ranks(self) -> dict[str, dict[str, Any]]:
        """What every rank saw, by host and rank."""
        found = {}
        for host in sorted(self.base.iterdir()):
            ranks = {
                path.stem.rpartition("-")[2] for path in [*host.glob("seen-*.json"), *host.glob("words-*")]
            }
            found |= {f"{host.name}/{rank}": observed(host, f"-{rank}") for rank in sorted(ranks)}
        return found


def launch(
    client: docker.DockerClient, image: str, launcher: str, tree: MpiTree, base: Path, *, to_the_end: bool
) -> MpiResult:
    names = [f"algo-{number}" for number in range(1, tree.hosts + 1)]
    job = ContainerJob(
        client,
        image,
        tree.script,
        hosts=tree.hosts,
        per_host=tree.per_host,
        hyperparameters=tree.values,
        environment={"SHARDYARD_HOST_TIMEOUT": "60", **tree.environment},
        # The platform makes the output folder; the incumbent ends with 0 where it is not.
        files={
            name: {**_resource(name, names, tree), "output/data/.keep": "", **tree.files} for name in names
        },
        prelude="",
        command=(LAUNCHERS[launcher],),
    )
    try:
        job.start()
        if not to_the_end:
            job.wait_for("SEEN", tree.ranks, timeout=120)
        report = job.finish(timeout=240) if to_the_end else None
        for name in names:
            _unpack(job.containers[name], base / name)
        log = "\n".join(job.log(name) for name in names)
        return MpiResult(base, log, report.codes, report.ended) if report else MpiResult(base, log)
    finally:
        job.remove()


def _resource(name: str, names: list[str], tree: MpiTree) -> dict[str, str]:
    known = {"current_host": name, "hosts": names, "network_interface_name": "eth0", **tree.resource}
    return {"input/config/resourceconfig.json": json.dumps(known)}


def _unpack(container: Any, folder: Path) -> None:
    chunks, _ = container.get_archive("/opt/ml/.")
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        archive.extractall(folder, filter="data")
