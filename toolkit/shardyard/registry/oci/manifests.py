"""Manifests as documents: media types, descriptors, the choice of a platform."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shardyard.errors import ProjectError
from shardyard.registry.oci.errors import RegistryError

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
ACCEPT = ", ".join((DOCKER, OCI, *INDEXES))
# By the base's kind of manifest: the config's and a compressed layer's media type.
CONFIG_TYPE = {
    DOCKER: "application/vnd.docker.container.image.v1+json",
    OCI: "application/vnd.oci.image.config.v1+json",
}
LAYER_TYPE = {
    DOCKER: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    OCI: "application/vnd.oci.image.layer.v1.tar+gzip",
}


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Descriptor:
    """One blob as a manifest names it."""

    media_type: str
    digest: str
    size: int

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Descriptor:
        return cls(str(raw.get("mediaType", "")), str(raw["digest"]), int(raw["size"]))

    def as_dict(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "size": self.size, "digest": self.digest}


@dataclass(frozen=True)
class ImageManifest:
    """One image: its config and its layers, base first. `raw` are the very bytes that the digest is of."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> str:
        return digest_of(self.raw)

    @classmethod
    def parse(cls, raw: bytes, content_type: str = "") -> ImageManifest:
        try:
            body = json.loads(raw)
            kind = str(body.get("mediaType") or content_type.partition(";")[0].strip() or OCI)
            layers = tuple(Descriptor.of(one) for one in body["layers"])
            manifest = cls(raw, kind, Descriptor.of(body["config"]), layers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(f"the registry sent a manifest that cannot be read: {error!r}") from error
        if manifest.media_type not in CONFIG_TYPE:
            raise RegistryError(f"manifests of type {manifest.media_type!r} are not supported")
        return manifest

    @classmethod
    def make(cls, media_type: str, config: Descriptor, layers: tuple[Descriptor, ...]) -> ImageManifest:
        body = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.as_dict(),
            "layers": [one.as_dict() for one in layers],
        }
        return cls(json.dumps(body, indent=1).encode(), media_type, config, layers)


def is_index(raw: bytes, content_type: str) -> bool:
    try:
        body = json.loads(raw)
        return body.get("mediaType", content_type) in INDEXES or "manifests" in body
    except (ValueError, AttributeError):
        return False


def choose(raw: bytes, platform: str) -> str:
    """The digest of the image for `os/architecture[/variant]` in an index."""
    found = []
    for one in json.loads(raw).get("manifests", ()):
        has = one.get("platform") or {}
        name = "/".join(has[key] for key in ("os", "architecture", "variant") if has.get(key))
        if name == platform or name.startswith(platform + "/"):
            return str(one["digest"])
        found.append(name)
    have = ", ".join(sorted({one for one in found if one and "unknown" not in one})) or "none"
    raise ProjectError(f"the base has no image for {platform!r}; there is: {have}. Set [image] platform")
