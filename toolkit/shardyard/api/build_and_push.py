"""``shardyard.build_and_push``."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shardyard.api.build import build_with
from shardyard.api.push import Opened, SignedIn, open_target, push_with, sign_in
from shardyard.beside import Beside
from shardyard.engines.choice import Reaching, engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.image.base import base_of
from shardyard.image.render import render
from shardyard.plan.findings import refuse
from shardyard.project.load import load
from shardyard.project.model import Project


@dataclass(frozen=True)
class Shipped:
    """Sizes are compressed bytes, as the registry stores and counts them. ``image_uri_by_digest`` means this very
    image for good; ``image_uri`` whatever is pushed under the tag later."""

    image_uri: str
    image_uri_by_digest: str
    digest: str
    size_bytes: int
    new_layer_bytes: int
    base: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def build_and_push(
    project: str | Path = ".", *, tag: str | None = None, engine: str | None = None, no_cache: bool = False
) -> Shipped:
    """Builds, pushes, verifies. Progress goes to standard error."""
    started = time.monotonic()
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    signing_in = Beside(lambda: sign_in(loaded))
    refuse(loaded)
    with ConsoleProgress() as progress:
        chosen = engine_for(loaded, progress)
        if isinstance(chosen, Reaching):
            opened = _built_at_target(chosen, loaded, no_cache, signing_in)
        else:
            build_with(chosen, loaded, no_cache)
            opened = open_target(chosen, loaded, signing_in.result())
        done = push_with(chosen, loaded, progress, opened)
    return Shipped(
        image_uri=done.image_uri,
        image_uri_by_digest=done.image_uri_by_digest,
        digest=done.digest,
        size_bytes=done.size_bytes,
        new_layer_bytes=done.new_layer_bytes,
        base=base_of(loaded),
        seconds=round(time.monotonic() - started, 3),
    )


def _built_at_target(
    engine: Reaching, project: Project, no_cache: bool, signing_in: Beside[SignedIn]
) -> Opened:
    """Looks at the target while the files of the project are read, and brings the base there before they are
    built upon it."""
    engine.refuse(render(project))
    opening = Beside(lambda: open_target(engine, project, signing_in.result()))

    def stage() -> None:
        opened = opening.result()
        engine.stage(base_of(project), opened.target.uri, opened.credentials, project.image.platform)

    build_with(engine, project, no_cache, stage)
    return opening.result()
