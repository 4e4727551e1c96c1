"""``shardyard sbom``"""

from __future__ import annotations

from pathlib import Path

from shardyard.engines.choice import built, engine_for
from shardyard.engines.progress import ConsoleProgress
from shardyard.image.sbom import document, packages
from shardyard.project.load import load


def sbom(project: str | Path = ".", *, tag: str | None = None, engine: str | None = None) -> str:
    """The bill of materials of the built image, CycloneDX 1.6 as JSON: Python packages and system packages of all
    layers, the base, the runtime. Raises MissingError without the extra ``sbom``."""
    loaded = load(project, {"registry.tag": tag, "image.engine": engine})
    with ConsoleProgress() as progress:
        chosen = engine_for(loaded, progress)
        image = built(chosen, loaded)
        found = packages(chosen.contents(loaded.local_tag))
    return document(image.image_id, image.labels, found)
