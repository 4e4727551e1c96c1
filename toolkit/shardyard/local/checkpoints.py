"""The caller's folder of checkpoints: shared by all hosts, kept from run to run, and always the caller's."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException
from docker.types import Mount

from shardyard.errors import MissingError
from shardyard.local.spec import JobSpec

INSIDE = "/checkpoints"
ROOTS = ("", "0", "root")


def prepare(folder: Path, user: str = "") -> None:
    """Makes it; where the image runs as another user than root, that user may write there, too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if user.partition(":")[0] not in ROOTS:
            folder.chmod(0o777)
    except OSError as error:
        raise MissingError(
            f"cannot use {str(folder)!r} for checkpoints: {error.strerror or error}. Give --checkpoints FOLDER"
        ) from error


def give_back(client: docker.DockerClient, image: str, job: JobSpec) -> str | None:
    """What containers wrote there belongs to their root: a last one hands it over. Says what stays so.

    Under a rootless engine that root is the caller already, and so is everything of it.
    """
    folder = job.checkpoints
    if folder is None or not foreign(folder):
        return None
    rootless = any("rootless" in one for one in client.info().get("SecurityOptions") or ())
    owner = "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"
    options: dict[str, Any] = {} if rootless else {"userns_mode": "host"}
    why = ""
    try:
        client.containers.run(
            image,
            entrypoint=["chown", "-R", "-h", owner, INSIDE],
            command=[],
            user="0:0",
            mounts=[Mount(INSIDE, str(folder), type="bind")],
            network_disabled=True,
            labels={"shardyard.job": job.name},
            remove=True,
            **options,
        )
    except (DockerException, requests.exceptions.RequestException) as error:
        why = f": {error}"
    if not foreign(folder):
        return None
    return f"files in {str(folder)!r} belong to another user{why}. Type: sudo chown -R {owner} {folder}"


def foreign(folder: Path) -> bool:
    """Whether anything in it is not the caller's."""
    mine = os.getuid()
    for place, _, files in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in files)):
            with suppress(OSError):
                if os.lstat(path).st_uid != mine:
                    return True
    return False
