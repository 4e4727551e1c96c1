"""``shardyard.build``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from shardyard.engines.base import Engine, LocalImage
from shardyard.engines.choice import engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.image import context
from shardyard.image.base import base_of
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
    fetch_base(engine, base_of(project), project.image.platform)
    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
        context.write(project, spool)  # type: ignore[arg-type]
        spool.seek(0)
        packed()
        return engine.build(spool, project.local_tag, project.image.platform, no_cache)  # type: ignore[arg-type]


def fetch_base(engine: Engine, base: str, platform: str) -> None:
    """Pulls a base that lies in ECR and is not here yet, signed in as its registry wants. The engine itself
    fetches every other base."""
    place = parse_host(base)
    if place is None or engine.find(base) is not None:
        return
    engine.pull(base, platform, Ecr(place.region, place.account).sign_in())
