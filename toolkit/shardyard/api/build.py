"""``shardyard.build``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from shardyard.engines.base import Engine, LocalImage, Recipe
from shardyard.engines.choice import engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.image import context, labels
from shardyard.image.base import base_of
from shardyard.image.dockerfile import stands_on
from shardyard.image.render import render
from shardyard.image.secret_sources import secret_sources
from shardyard.plan.findings import refuse
from shardyard.project.load import load
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr
from shardyard.registry.token import parse_host

SPOOL = 64 * 1024 * 1024


def build(
    project: str | Path = ".", *, tag: str | None = None, engine: str | None = None, no_cache: bool = False
) -> LocalImage:
    """Builds the image; ``reference`` of what it returns is the local tag. Progress: standard error."""
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    refuse(loaded)
    with ConsoleProgress() as progress:
        return build_with(engine_for(loaded, progress), loaded, no_cache)


def build_with(
    engine: Engine, project: Project, no_cache: bool = False, packed: Callable[[], None] = lambda: None
) -> LocalImage:
    """The build itself, on an engine that is there; calls `packed` when the files of the project are read."""
    secrets, name = secret_sources(project), base_of(project)
    base = fetch_base(engine, name, project.image.platform)
    described = (
        labels.of_base(name, base.digest, len(base.layers)) if stands_on(render(project), name) else {}
    )
    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
        context.write(project, spool, described)  # type: ignore[arg-type]
        spool.seek(0)
        packed()
        recipe = Recipe(spool, project.local_tag, project.image.platform, secrets, no_cache)  # type: ignore[arg-type]
        return engine.build(recipe)


def fetch_base(engine: Engine, base: str, platform: str) -> LocalImage:
    """The base, pulled where it is not here yet or only for another platform, signed in as ECR wants. Raises
    ProjectError where there is none for the platform."""
    found = engine.find(base)
    if found is None or (found.digest and not found.is_for(platform)):
        place = parse_host(base)
        credentials = Ecr(place.region, place.account).sign_in() if place else None
        found = engine.pull(base, platform, credentials)
    found.require(platform)
    return found
