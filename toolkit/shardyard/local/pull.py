"""The image of a local job: here already, or fetched."""

from __future__ import annotations

from typing import Literal

import docker

from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.load import load
from shardyard.engines.direct.sign_in import sign_in
from shardyard.engines.docker import DockerEngine
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import MissingError, RemoteError
from shardyard.local.logs import Sink
from shardyard.registry.ecr import Ecr
from shardyard.registry.token import parse_host

Policy = Literal["always", "missing", "never"]


def ensure_image(
    client: docker.DockerClient,
    reference: str,
    platform: str,
    built_by: str,
    policy: Policy | None,
    sink: Sink,
) -> None:
    """Without a policy an image of ECR is pulled each time, so that a moved tag is followed; any other has to be
    here, or in the store of the direct engine."""
    in_ecr = parse_host(reference) is not None
    with ConsoleProgress() as progress:
        engine = DockerEngine(client, progress)
        held = engine.find(reference)
        if policy == "always" or (policy is None and in_ecr) or (policy == "missing" and held is None):
            _pull(engine, reference, platform, sink)
            return
        direct = DirectEngine(progress, sign_in)
        if (built_by == "direct" or held is None) and direct.find(reference) is not None:
            load(direct, client, reference, platform)
        elif held is None:
            raise MissingError(f"this machine has no image {reference!r}. Type: {_way_out(in_ecr)}")


def _pull(engine: DockerEngine, reference: str, platform: str, sink: Sink) -> None:
    before = engine.find(reference)
    place = parse_host(reference)
    try:
        credentials = Ecr(place.region, place.account).sign_in() if place else None
        pulled = engine.pull(reference, platform, credentials)
    except (MissingError, RemoteError) as error:
        if before is None:
            raise
        text = f"{error.message}\nTo run the image that is here, type: shardyard run --pull never"
        raise type(error)(text) from error
    if before is not None and before.image_id != pulled.image_id:
        sink("shardyard", f"{reference} has moved: from {before.image_id} to {pulled.image_id}")


def _way_out(in_ecr: bool) -> str:
    return "shardyard run --pull missing, or shardyard build" if in_ecr else "shardyard build"
