"""Whose password a registry gets: ECR's from AWS, any other's from where `docker login` put it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from shardyard.engines.base import Credentials
from shardyard.registry.oci.reference import DOCKER_HUB
from shardyard.registry.token import parse_host

if TYPE_CHECKING:
    from botocore.config import Config

_HUB_KEY = "https://index.docker.io/v1/"  # the name that `docker login` keeps Docker Hub under


def sign_in(host: str, config: Config | None = None) -> Credentials | None:
    """Credentials of a registry, asked for anew each time; None: everyone may read there. ``config``: how long AWS
    may take to answer."""
    place = parse_host(host)
    if place is not None:
        from shardyard.registry.ecr import Ecr

        return Ecr(place.region, place.account, config).sign_in()
    key = _HUB_KEY if host == DOCKER_HUB else host
    if not _knows_logins():
        return None
    from docker import auth  # late: it takes a third of a second

    found = auth.load_config().resolve_authconfig(key) or {}
    name, password = (
        found.get("username") or found.get("Username"),
        found.get("password") or found.get("Secret"),
    )
    return Credentials(host, name, password) if name and password else None


def _knows_logins() -> bool:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return any(config.get(key) for key in ("auths", "credHelpers", "credsStore"))
    except (OSError, ValueError, AttributeError):
        return False
