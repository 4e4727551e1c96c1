"""The image of a local job: here already, or fetched from ECR."""

from __future__ import annotations

import docker

from shardyard.engines.docker import DockerEngine
from shardyard.engines.progress import ConsoleProgress
from shardyard.errors import MissingError
from shardyard.registry.ecr import Ecr
from shardyard.registry.token import parse_host


def ensure_image(client: docker.DockerClient, reference: str, platform: str) -> None:
    """An image of ECR is pulled each time, so that a moved tag is followed; any other has to be here."""
    place = parse_host(reference)
    with ConsoleProgress() as progress:
        engine = DockerEngine(client, progress)
        if place is not None:
            engine.pull(reference, platform, Ecr(place.region, place.account).sign_in())
        elif engine.find(reference) is None:
            raise MissingError(f"this machine has no image {reference!r}. Type: shardyard build")
