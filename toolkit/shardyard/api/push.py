"""``shardyard.push``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shardyard.engines.base import Credentials, Engine
from shardyard.engines.choice import Reaching, engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import ProjectError
from shardyard.project.load import load
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr
from shardyard.registry.manifest import RegistryReader
from shardyard.registry.publish import Published, Reader, Target, publisher


def push(project: str | Path = ".", *, tag: str | None = None, engine: str | None = None) -> Published:
    """Pushes the built image to ECR and verifies it by digest. Progress goes to standard error."""
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    with ConsoleProgress() as progress:
        return push_with(engine_for(loaded, progress), loaded)


def push_with(engine: Engine, project: Project, opened: Opened | None = None) -> Published:
    """The push itself, on an engine that is there."""
    if engine.find(project.local_tag) is None:
        raise ProjectError(f"there is no image {project.local_tag!r} to push. Type: shardyard build")
    to = opened or open_target(engine, project)
    return publisher(engine, to.ecr, to.credentials, to.reader).publish(project.local_tag, to.target)


@dataclass(frozen=True)
class Opened:
    """A repository that is there and lets us in."""

    ecr: Ecr
    credentials: Credentials
    target: Target
    reader: Reader


def open_target(engine: Engine, project: Project) -> Opened:
    """Signs in, and makes sure of the repository: known before anything is sent."""
    registry = project.registry
    repository = registry.repository or project.image.name
    ecr = Ecr(registry.region, registry.account)
    credentials = ecr.sign_in()
    target = Target(credentials.host, repository, registry.tag)
    reader = (
        engine.reader(target.uri, credentials, ecr.sign_in)
        if isinstance(engine, Reaching)
        else RegistryReader(credentials)
    )
    reader.sign_in()
    if not reader.exists:
        ecr.ensure_repository(repository)
    return Opened(ecr, credentials, target, reader)
