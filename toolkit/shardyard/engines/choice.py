"""The engine that a project asks for. Each is imported only when it is chosen: docker-py takes its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from shardyard.engines.base import Credentials, Engine, Listener, LocalImage
from shardyard.errors import ProjectError

if TYPE_CHECKING:
    from shardyard.project.model import Project
    from shardyard.registry.publish import Reader

Renew = Callable[[], Credentials]


@runtime_checkable
class Reaching(Engine, Protocol):
    """An engine that reaches registries itself, and may begin before there is an image."""

    def refuse(self, dockerfile: str) -> None: ...

    def stage(self, base: str, target: str, credentials: Credentials, platform: str) -> None: ...

    def reader(self, target: str, credentials: Credentials, renew: Renew) -> Reader: ...


def engine_for(project: Project, listener: Listener) -> Engine:
    if project.image.engine == "direct":
        from shardyard.engines.direct.engine import DirectEngine
        from shardyard.engines.direct.sign_in import sign_in

        return DirectEngine(listener, sign_in)
    from shardyard.engines.docker import DockerEngine

    return DockerEngine(listener=listener)


def built(engine: Engine, project: Project) -> LocalImage:
    """The project's image in this engine; ProjectError where there is none yet."""
    image = engine.find(project.local_tag)
    if image is None:
        raise ProjectError(f"there is no image {project.local_tag!r} yet. Type: shardyard build")
    return image
