"""``shardyard.push``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shardyard.beside import Beside
from shardyard.engines.base import Credentials, Listener
from shardyard.engines.choice import Reaching, engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import ProjectError, RemoteError
from shardyard.project.load import load
from shardyard.project.model import Project, Registry
from shardyard.registry.ecr import Ecr
from shardyard.registry.manifest import RegistryReader
from shardyard.registry.publish import Published, Reader, Source, Target, publisher
from shardyard.registry.settings import Settings, differences, wanted


def push(project: str | Path = ".", *, tag: str | None = None, engine: str | None = None) -> Published:
    """Pushes the built image to ECR and verifies it by digest. Progress goes to standard error."""
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    with ConsoleProgress() as progress:
        return push_with(engine_for(loaded, progress), loaded, progress)


def push_with(
    engine: Source, project: Project, listener: Listener, opened: Opened | None = None
) -> Published:
    """The push itself, on an engine that is there."""
    if engine.find(project.local_tag) is None:
        raise ProjectError(f"there is no image {project.local_tag!r} to push. Type: shardyard build")
    to = opened or open_target(engine, project)
    settings = to.settings.result()
    for text, remedy in differences(settings, project.registry) if settings else ():
        listener({"status": f"note: {text}. To change that, type: {remedy}"})
    immutable = settings is not None and settings.immutable
    publishing = publisher(engine, to.ecr, to.credentials, to.reader, immutable)
    return publishing.publish(project.local_tag, to.target)


@dataclass(frozen=True)
class Opened:
    """A repository that lets us in; ``settings`` are None where we may push but not look at them."""

    ecr: Ecr
    credentials: Credentials
    target: Target
    reader: Reader
    settings: Beside[Settings | None]


@dataclass(frozen=True)
class SignedIn:
    """To the registry that a project is pushed to."""

    ecr: Ecr
    credentials: Credentials


def sign_in(project: Project) -> SignedIn:
    ecr = Ecr(project.registry.region, project.registry.account)
    return SignedIn(ecr, ecr.sign_in())


def open_target(engine: Source, project: Project, signed_in: SignedIn | None = None) -> Opened:
    """Signs in, and makes sure of the repository: known before anything is sent."""
    registry = project.registry
    repository = registry.repository or project.image.name
    signed_in = signed_in or sign_in(project)
    ecr, credentials = signed_in.ecr, signed_in.credentials
    target = Target(credentials.host, repository, registry.tag)
    reader = (
        engine.reader(target.uri, credentials, ecr.sign_in)
        if isinstance(engine, Reaching)
        else RegistryReader(credentials)
    )
    reader.sign_in()
    settings = Beside(lambda: _settings(ecr, repository, registry, reader.exists))
    if not reader.exists:  # where the repository is there, a build need not wait for the answer
        settings.result()
    return Opened(ecr, credentials, target, reader, settings)


def _settings(ecr: Ecr, repository: str, registry: Registry, exists: bool) -> Settings | None:
    """The repository's settings; it is made where it is missing."""
    try:
        found = ecr.repository(repository)
    except RemoteError:
        if exists:
            return None  # who may push need not be allowed to look
        raise
    return found or ecr.create_repository(repository, wanted(registry))
