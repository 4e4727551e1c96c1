"""The docker engine: one container a host, on a network of the job's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Mount, Ulimit

from shardyard.errors import JobError, MissingError
from shardyard.local import archive, contract, gpus, layout, network
from shardyard.local.spec import Container, JobSpec
from shardyard.local.supervise import stop_all

LABEL = "shardyard.job"
NO_COMMAND = 127
STOP_GRACE_S = 5.0
_GONE = (DockerException, requests.exceptions.RequestException)


class ContainerHost:
    """Satisfies `Host`."""

    def __init__(self, name: str, container: Any) -> None:
        self.name = name
        self.container = container

    def chunks(self) -> Iterable[bytes]:
        """The log to its end. An engine that follows a log leaves out a last line without a newline, and may leave
        out more when it has much to do: what it holds of the log afterwards is all of it."""
        seen = 0
        for chunk in self.container.logs(stream=True, follow=True):
            seen += len(chunk)
            yield chunk
        self.container.wait()
        for chunk in self.container.logs(stream=True, follow=False):
            if len(chunk) > seen:
                yield chunk[seen:]
            seen = max(0, seen - len(chunk))

    def poll(self) -> int | None:
        self.container.reload()
        state = self.container.attrs["State"]
        return int(state["ExitCode"]) if state["Status"] in ("exited", "dead") else None

    def stop(self, grace_s: float) -> None:
        with suppress(APIError, requests.exceptions.RequestException):
            self.container.stop(timeout=int(grace_s))


class ContainerJob:
    """The containers and the network of one job. ``secrets`` go into their environment, and no log."""

    def __init__(
        self, client: docker.DockerClient, image: str, job: JobSpec, root: Path, secrets: Mapping[str, str]
    ) -> None:
        self._client, self._image, self._job, self._root = client, image, job, root
        self._secrets = dict(secrets)
        self._addresses: dict[str, str] = {}
        self.hosts: list[ContainerHost] = []

    def start(self) -> None:
        """Creates all containers with their `/opt/ml`, then starts them together."""
        self._addresses = network.make(
            self._client, self._job.name, {LABEL: self._job.name}, self._job.host_names
        )
        settings = options(self._job.container, memory=int(self._client.info().get("MemTotal") or 0))
        for host in self._job.host_names:
            self.hosts.append(ContainerHost(host, self._create(host, settings)))
        for one in self.hosts:
            base = self._root / one.name / "opt" / "ml"
            layout.write(base, self._job, one.name, "/opt/ml/code")
            one.container.put_archive("/", archive.pack(base, "opt/ml"))
            if not self._job.checkpoints:
                (self._root / "empty").mkdir(exist_ok=True)
                place = str(self._job.checkpoint_path.relative_to("/"))
                one.container.put_archive("/", archive.pack(self._root / "empty", place))
        for one in self.hosts:
            try:
                one.container.start()
            except APIError as error:
                raise _not_started(one.name, self._image, str(error.explanation or error)) from error

    def _create(self, host: str, settings: dict[str, Any]) -> Any:
        job = self._job
        endpoint = self._client.api.create_endpoint_config(ipv4_address=self._addresses[host])
        try:
            return self._client.containers.create(
                self._image,
                command="train",
                name=f"{job.name}-{host}",
                hostname=host,
                extra_hosts=self._addresses,
                environment=self._secrets | gpus.variables(job.gpus.get(host)) | contract.environment(job),
                mounts=mounts(job),
                device_requests=gpus.requests(job.gpus.get(host, ())),
                labels={LABEL: job.name},
                log_config=LogConfig(type="json-file"),
                network=job.name,
                networking_config={job.name: endpoint},
                **settings,
            )
        except ImageNotFound as error:
            raise MissingError(f"this machine has no image {self._image!r}. Type: shardyard build") from error
        except APIError as error:
            raise JobError(f"cannot make the container of {host}: {error.explanation or error}") from error

    def stop(self) -> None:
        """Ends what still runs: after an interrupt the ranks get SIGTERM before their files are taken."""
        with suppress(*_GONE):
            stop_all([one for one in self.hosts if one.poll() is None], STOP_GRACE_S)

    def collect(self, output: Path) -> list[str]:
        """What the hosts wrote, under `<output>/<host>`; says what could not be fetched."""
        problems = []
        for one in self.hosts:
            for name, path in layout.written_by_user(self._job).items():
                try:
                    chunks, _ = one.container.get_archive(str(path))
                    archive.unpack(chunks, output / one.name / name)
                except NotFound:
                    continue
                except (*_GONE, OSError) as error:
                    problems.append(f"{one.name}: {path} could not be collected: {error}")
        return problems


def options(container: Container, memory: int) -> dict[str, Any]:
    """Of every container. Shared memory is half of ``memory`` (bytes), which is what Linux gives a machine of
    its own and thus an instance; the engine's own 64 MB end a data loader with several workers."""
    given: dict[str, Any] = {
        "ulimits": [Ulimit(name=n, soft=v, hard=v) for n, v in container.ulimits.items()]
    }
    if container.ipc == "host":
        return given | {"ipc_mode": "host"}
    return given | {"shm_size": container.shm_size or memory // 2 or "1g"}


def mounts(job: JobSpec) -> list[Mount]:
    """The inputs, read-only, and the caller's folder of checkpoints."""
    given = [
        Mount(str(place), str(path), type="bind", read_only=True)
        for place, path in layout.places(job).items()
    ]
    if job.checkpoints:
        given.append(Mount(str(job.checkpoint_path), str(job.checkpoints), type="bind"))
    return given


def remove(client: docker.DockerClient, job_name: str) -> bool:
    """Containers of the job first, then its network; what is already gone is fine. Whether there was any."""
    mine = {"label": f"{LABEL}={job_name}"}
    found: list[Any] = []
    with suppress(*_GONE):
        found += client.containers.list(all=True, filters=mine, ignore_removed=True)
    for container in found:
        with suppress(*_GONE):
            container.remove(force=True, v=True)
    with suppress(*_GONE):
        for bridge in client.networks.list(filters=mine):
            found.append(bridge)
            bridge.remove()
    return bool(found)


def _not_started(host: str, image: str, said: str) -> Exception:
    if "device driver" in said or "nvidia" in said.lower():
        return MissingError(
            f"{host} did not start, for the engine cannot give it GPUs: {said}\nInstall the NVIDIA Container "
            "Toolkit, or set [run] gpus = [] to try it on the CPU"
        )
    if "rlimit" in said:
        return MissingError(f"{host} did not start with [run] ulimits: {said}\nLower or remove them")
    return JobError(
        f"{host} did not start: {said}. Does {image!r} have a `train` command? Type: shardyard build",
        job_exit_code=NO_COMMAND,
    )
