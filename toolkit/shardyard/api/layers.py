"""``shardyard layers``"""

from __future__ import annotations

from pathlib import Path

from shardyard.engines.choice import built, engine_for
from shardyard.engines.progress import silent
from shardyard.image.layer_report import LayerFacts, layers_of
from shardyard.project.load import load


def layers(
    project: str | Path = ".", *, tag: str | None = None, engine: str | None = None
) -> list[LayerFacts]:
    """The layers of the built image, base first, each with its size and whose it is: the base's, the project's, or
    shardyard's own. Sizes are unpacked bytes in the Docker engine, compressed ones in the direct engine."""
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    chosen = engine_for(loaded, silent)
    image = built(chosen, loaded)
    return layers_of(chosen.history(loaded.local_tag), image.labels, loaded.local_tag)
