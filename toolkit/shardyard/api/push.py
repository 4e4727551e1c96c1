"""``shardyard.push``."""

from __future__ import annotations

from pathlib import Path

from shardyard.engines.base import Engine
from shardyard.engines.docker import DockerEngine
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import ProjectError
from shardyard.project.load import load
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr
from shardyard.registry.manifest import RegistryReader
from shardyard.registry.publish import Published, Target, publisher


def push(project: str | Path = ".", *, tag: str | None = None) -> Published:
    """Pushes the built image to ECR and verifies it by digest. Progress goes to standard error."""
    loaded = load(project, {"registry.tag": tag})
    with ConsoleProgress() as progress:
        return push_with(DockerEngine(listener=progress), loaded)


def push_with(engine: Engine, project: Project) -> Published:
    """The push itself, on an engine that is there."""
    if engine.find(project.local_tag) is None:
        raise ProjectError(f"there is no image {project.local_tag!r} to push. Type: shardyard build")
    registry = project.registry
    repository = registry.repository or project.image.name
    ecr = Ecr(registry.region, registry.account)
    credentials = ecr.sign_in()
    RegistryReader(credentials).sign_in()
    ecr.ensure_repository(repository)
    target = Target(credentials.host, repository, registry.tag)
    return publisher(engine, ecr, credentials).publish(project.local_tag, target)
