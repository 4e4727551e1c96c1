"""``shardyard rebase``"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shardyard.api.push import open_target, push_with
from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.rebase import Rebase
from shardyard.engines.direct.sign_in import sign_in
from shardyard.engines.progress import ConsoleProgress
from shardyard.project.load import load
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr
from shardyard.registry.publish import Published, Target


@dataclass(frozen=True)
class Rebased:
    """Sizes are compressed bytes. ``changed`` is False where the image stands on the newest base already."""

    image_uri: str
    image_uri_by_digest: str
    digest: str
    changed: bool
    base: str
    base_digest: str
    previous_base_digest: str
    size_bytes: int
    new_layer_bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rebase(
    project: str | Path = ".", *, base: str | None = None, tag: str | None = None, new_tag: str | None = None
) -> Rebased:
    """Puts a patched base under the pushed image of the project, without a build: in the registry alone.

    ``base`` is the new base, by default what lies today under the name of the image's own. ``new_tag`` is the tag
    that the result gets, by default the image's own. Raises ProjectError, with every reason, where the image's
    layers cannot stand on the new base; then nothing is pushed.
    """
    started = time.monotonic()
    loaded = load(project, {"registry.tag": tag})
    with ConsoleProgress() as progress:
        engine = DirectEngine(progress, sign_in)
        credentials = Ecr(loaded.registry.region, loaded.registry.account).sign_in()
        repository = loaded.registry.repository or loaded.image.name
        uri = Target(credentials.host, repository, loaded.registry.tag).uri
        found = Rebase.read(engine, uri, base, loaded.image.platform, credentials)
        changed = not found.nothing_to_do or new_tag not in (None, loaded.registry.tag)
        if changed:
            goal = _tagged(loaded, new_tag)
            done = push_with(found, goal, progress, open_target(engine, goal))
        else:
            size = sum(one.size for one in (found.image.manifest.config, *found.image.manifest.layers))
            done = Published(uri, found.image.manifest.digest, (), size)
    return Rebased(
        image_uri=done.image_uri,
        image_uri_by_digest=done.image_uri_by_digest,
        digest=done.digest,
        changed=changed,
        base=found.new.name,
        base_digest=found.new.manifest.digest,
        previous_base_digest=found.old.manifest.digest,
        size_bytes=done.size_bytes,
        new_layer_bytes=done.new_layer_bytes,
        seconds=round(time.monotonic() - started, 3),
    )


def _tagged(project: Project, tag: str | None) -> Project:
    return replace(project, registry=replace(project.registry, tag=tag or project.registry.tag))
