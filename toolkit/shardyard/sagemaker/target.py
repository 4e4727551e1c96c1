"""The image URI of a project, from its [registry] section, without asking anyone where that can be."""

from __future__ import annotations

import os

from shardyard.catalog import regions
from shardyard.errors import ProjectError
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr


def image_uri(project: Project) -> str:
    """`<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>`."""
    registry = project.registry
    region = registry.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    account = registry.account
    if not account:
        ecr = Ecr(region)
        region, account = ecr.region, ecr.account
    if not region:
        raise ProjectError(
            "no region: set [registry] region in shardyard.toml, or AWS_REGION, or give --image URI"
        )
    repository = registry.repository or project.image.name
    return f"{account}.dkr.ecr.{region}.{regions.dns_suffix(region)}/{repository}:{registry.tag}"
