"""The docker engine: one container a host, on a network of the job's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig

from shardyard.errors import JobError, MissingError
from shardyard.local import archive, contract, layout
from shardyard.local.spec import JobSpec

LABEL = "shardyard.job"
SHM = "1g"
NO_COMMAND = 127
STOP_GRACE_S = 5.0


PASSED_ON = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def credentials(env: Mapping[str, str]) -> dict[str, str]:
    """The caller's AWS credentials, for scripts that read from S3, as the SDK's local mode passes them."""
    return {name: env[name] for name in PASSED_ON if env.get(name)}


class ContainerHost:
    """Satisfies `Host`."""

    def __init__(self, name: str, container: Any) -> None:
        self.name = name
        self.container = container

    def chunks(self) -> Iterable[bytes]:
        return self.container.logs(stream=True, follow=True, stdout=True, stderr=True)

    def poll(self) -> int | None:
        self.container.reload()
        state = self.container.attrs["State"]
        return int(state["ExitCode"]) if state["Status"] in ("exited", "dead") else None

    def stop(self, grace_s: float) -> None:
        with suppress(APIError, requests.exceptions.RequestException):
            self.container.stop(timeout=int(grace_s))


class ContainerJob:
    """The containers and the network of one job."""

    def __init__(self, client: docker.DockerClient, image: str, job: JobSpec, root: Path) -> None:
        self._client, self._image, self._job, self._root = client, image, job, root
        self._network: Any = None
        self.hosts: list[ContainerHost] = []

    def start(self) -> None:
        """Creates all containers with their `/opt/ml`, then starts them together."""
        self._network = self._client.networks.create(
            self._job.name, driver="bridge", labels={LABEL: self._job.name}, check_duplicate=True
        )
        for host in self._job.host_names:
            self.hosts.append(ContainerHost(host, self._create(host)))
        for one in self.hosts:
            base = self._root / one.name / "opt" / "ml"
            layout.write(base, self._job, one.name, "/opt/ml/code")
            one.container.put_archive("/", archive.pack(base, "opt/ml"))
        for one in self.hosts:
            try:
                one.container.start()
            except APIError as error:
                raise JobError(
                    f"{one.name} did not start: {error.explanation or error}. Does {self._image!r} have a "
                    "`train` command? Type: shardyard build",
                    job_exit_code=NO_COMMAND,
                ) from error

    def _create(self, host: str) -> Any:
        job = self._job
        volumes = {
            str(path): {"bind": f"/opt/ml/input/data/{name}", "mode": "ro"}
            for name, path in job.inputs.items()
        }
        endpoint = self._client.api.create_endpoint_config(aliases=[host])
        try:
            return self._client.containers.create(
                self._image,
                command="train",
                name=f"{job.name}-{host}",
                hostname=host,
                environment=credentials(os.environ) | contract.environment(job),
                volumes=volumes,
                shm_size=SHM,
                labels={LABEL: job.name},
                log_config=LogConfig(type="json-file"),
                network=job.name,
                networking_config={job.name: endpoint},
            )
        except ImageNotFound as error:
            raise MissingError(f"this machine has no image {self._image!r}. Type: shardyard build") from error
        except APIError as error:
            raise JobError(f"cannot make the container of {host}: {error.explanation or error}") from error

    def stop(self) -> None:
        """Ends what still runs: after an interrupt the ranks get SIGTERM before their files are taken."""
        for one in self.hosts:
            with suppress(DockerException, requests.exceptions.RequestException):
                if one.poll() is None:
                    one.stop(STOP_GRACE_S)

    def collect(self, output: Path) -> list[str]:
        """What the hosts wrote, under `<output>/<host>`; says what could not be fetched."""
        problems = []
        for one in self.hosts:
            for folder in layout.WRITTEN_BY_USER:
                try:
                    chunks, _ = one.container.get_archive(f"/opt/ml/{folder}")
                    archive.unpack(chunks, output / one.name / folder)
                except NotFound:
                    continue
                except (DockerException, requests.exceptions.RequestException, OSError) as error:
                    problems.append(f"{one.name}: /opt/ml/{folder} could not be collected: {error}")
        return problems

    def remove(self) -> None:
        """Containers first, then the network; what is already gone is fine."""
        for one in self.hosts:
            with suppress(DockerException, requests.exceptions.RequestException):
                one.container.remove(force=True, v=True)
        if self._network is not None:
            with suppress(DockerException, requests.exceptions.RequestException):
                self._network.remove()
