"""Who asks AWS: ourselves where keys lie at hand, botocore where it takes more to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardyard.registry.aws.access import plain_access
from shardyard.registry.aws.base import Service

if TYPE_CHECKING:
    from botocore.config import Config


def service(name: str, region: str | None, config: Config | None = None) -> Service:
    """`config`: what botocore alone understands."""
    access = None if config is not None else plain_access(name, region)
    if access is not None:
        from shardyard.registry.aws.plain import PlainService

        return PlainService(name, access)
    from shardyard.registry.aws.boto import BotoService

    return BotoService(name, region, config)
