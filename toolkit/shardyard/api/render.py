"""``shardyard render``"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shardyard.image.render import render as rendered
from shardyard.project.load import load


def render(
    project: str | Path = ".",
    *,
    diff: bool = False,
    engine: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> str:
    """The Dockerfile of the project. With ``diff`` what changed in it since the image was built, as a unified diff:
    against ``/dev/null`` where the engine holds no image of the project."""
    loaded = load(project, {"image.engine": engine, **(overrides or {})})
    dockerfile = rendered(loaded)
    if not diff:
        return dockerfile
    from shardyard.engines.choice import engine_for
    from shardyard.engines.progress import silent
    from shardyard.image.difference import difference
    from shardyard.image.labels import dockerfile_of

    built = engine_for(loaded, silent).find(loaded.local_tag)
    return difference(dockerfile_of(built.labels) if built else None, dockerfile)
