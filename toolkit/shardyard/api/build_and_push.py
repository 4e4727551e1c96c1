"""``shardyard.build_and_push``."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shardyard.api.build import build_with
from shardyard.api.push import open_target, push_with
from shardyard.engines.choice import Reaching, engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.image.base import base_of
from shardyard.image.render import render
from shardyard.plan.findings import refuse
from shardyard.project.load import load


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
    refuse(loaded)
    with ConsoleProgress() as progress:
        chosen = engine_for(loaded, progress)
        opened = None
        if isinstance(chosen, Reaching):
            chosen.refuse(render(loaded))
            opened = open_target(chosen, loaded)
            chosen.stage(base_of(loaded), opened.target.uri, opened.credentials, loaded.image.platform)
        build_with(chosen, loaded, no_cache)
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
