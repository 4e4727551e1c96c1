"""An image as a registry has it: manifest, configuration, and where its layers are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shardyard.engines.base import Credentials
from shardyard.engines.direct.engine import DirectEngine
from shardyard.errors import RemoteError
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.manifests import ImageManifest
from shardyard.registry.oci.reference import parse as parse_reference


@dataclass(frozen=True)
class Registered:
    """`name` is the reference that it was asked for by."""

    name: str
    repository: Repository
    manifest: ImageManifest
    config: dict[str, Any]

    @classmethod
    def read(
        cls, engine: DirectEngine, name: str, platform: str, credentials: Credentials | None = None
    ) -> Registered:
        """Raises RemoteError where the registry has no such image."""
        reference = parse_reference(name)
        repository = engine.repository(reference.host, reference.repository, credentials)
        manifest = repository.manifest(reference.version, platform)
        if manifest is None:
            raise RemoteError(f"the registry {reference.host!r} has no image {name!r}")
        return cls(name, repository, manifest, json.loads(repository.small_blob(manifest.config.digest)))

    @property
    def diff_ids(self) -> list[str]:
        return list(self.config["rootfs"]["diff_ids"])

    @property
    def settings(self) -> dict[str, Any]:
        return self.config.get("config") or {}

    @property
    def labels(self) -> dict[str, str]:
        return self.settings.get("Labels") or {}

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.config.get("history") or []

    @property
    def platform(self) -> str:
        return f"{self.config.get('os')}/{self.config.get('architecture')}"
