"""The image of a local job: here already, or fetched from ECR."""

from __future__ import annotations

import docker

from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.load import load
from shardyard.engines.direct.sign_in import sign_in
from shardyard.engines.docker import DockerEngine
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import MissingError
from shardyard.registry.ecr import Ecr
from shardyard.registry.token import parse_host


def ensure_image(
    client: docker.DockerClient, reference: str, platform: str, built_by: str = "docker"
) -> None:
    """An image of ECR is pulled each time, so that a moved tag is followed; any other has to be here, or in
    the store of the direct engine."""
    place = parse_host(reference)
    with ConsoleProgress() as progress:
        engine = DockerEngine(client, progress)
        if place is not None:
            engine.pull(reference, platform, Ecr(place.region, place.account).sign_in())
            return
        held = engine.find(reference) is not None
        direct = DirectEngine(progress, sign_in)
        if (built_by == "direct" or not held) and direct.find(reference) is not None:
            load(direct, client, reference, platform)
        elif not held:
            raise MissingError(f"this machine has no image {reference!r}. Type: shardyard build")
