"""This machine: an engine that answers, room for the build."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shardyard.errors import MissingError
from shardyard.image.base import base_of
from shardyard.preflight.aws import Aws
from shardyard.project.findings import Finding
from shardyard.project.model import Project

GIB = 1024**3
# A base of the catalog unpacks to about 20 GB with GPUs, 8 GB without; while it is pulled its archives lie beside it.
BASE_GIB = {"gpu": 30, "cpu": 12}
OWN_GIB = 2


def engine(project: Project, aws: Aws) -> Iterator[Finding]:
    """The docker engine answers and has room, the base counted where it is not here yet. The direct engine
    keeps our own layers only."""
    if project.image.engine == "direct":
        yield from room(Path(tempfile.gettempdir()), OWN_GIB, "set TMPDIR to a larger disk")
        return
    from shardyard.engines.connect import BROKEN, connect

    try:
        root = Path(str(connect(timeout=10).info().get("DockerRootDir", "")))
    except MissingError as error:
        first, _, rest = error.message.partition("\n")
        yield Finding("error", "no-engine", "image.engine", first, rest.partition("\n")[0], "machine")
        return
    except BROKEN as error:
        text = f"the Docker engine broke off: {error}"
        yield Finding("error", "no-engine", "image.engine", text, "shardyard doctor", "machine")
        return
    if root.is_dir():  # an engine elsewhere has its disk elsewhere
        needed = OWN_GIB if held(project) else BASE_GIB[project.image.device]
        yield from room(root, needed, "docker system prune, or give the engine a larger disk")


def held(project: Project) -> bool:
    """Whether the Docker engine that would build has a copy of the base."""
    if project.image.engine == "direct":
        return False
    from shardyard.engines.connect import BROKEN, connect
    from shardyard.engines.docker import DockerEngine

    try:
        return DockerEngine(connect(timeout=10)).find(base_of(project)) is not None
    except (MissingError, *BROKEN):
        return False  # the look at the engine says so


def room(folder: Path, needed: int, remedy: str) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free / GIB
    if free < needed:
        text = f"{free:.1f} GiB free in {str(folder)!r}, a build may need {needed}"
        yield Finding("error", "disk", "disk", text, remedy, "machine")
