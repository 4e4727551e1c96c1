"""What the engine keeps on this machine: its own layers, and what it knows of images. Base layers never."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shardyard.paths import cache_dir
from shardyard.registry.oci.manifests import Descriptor, ImageManifest, digest_of

_KEEP_S = 3600.0  # another build may be about to name a blob that no image names yet


@dataclass(frozen=True)
class Layer:
    """A layer of ours: what it unpacks to, and the compressed blob."""

    diff_id: str
    digest: str
    size: int


@dataclass(frozen=True)
class Record:
    """An image under a tag: its manifest's digest, the reference that its base layers come from, and how many
    they are. A base that was only looked up is its own base."""

    manifest: str
    base: str
    base_layers: int


class Store:
    """A folder of documents and blobs. Every file appears whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "direct"

    def blob_path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "-")

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        if not self.blob_path(digest).exists():
            self._write(self.blob_path(digest), data)
        return digest

    def get(self, digest: str) -> bytes:
        return self.blob_path(digest).read_bytes()

    def temporary(self) -> Path:
        """A name for a file that `keep` will take over; on the same file system."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=self.folder, prefix="new-")
        os.close(number)
        return Path(name)

    def keep(self, layer: Layer, file: Path) -> None:
        place = self.blob_path(layer.digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
        self._write(self._layer_path(layer.diff_id), json.dumps(asdict(layer)).encode())

    def layer(self, diff_id: str) -> Layer | None:
        found = self.document(self._layer_path(diff_id))
        return Layer(**found) if found and self.blob_path(found["digest"]).exists() else None

    def _layer_path(self, diff_id: str) -> Path:
        return self.folder / "layers" / diff_id.replace(":", "-")

    def save(
        self, reference: str, manifest: ImageManifest, config: bytes, base: str, base_layers: int
    ) -> Record:
        self.put(config)
        record = Record(self.put(manifest.raw), base, base_layers)
        self._write(self._image_path(reference), json.dumps(asdict(record)).encode())
        return record

    def find(self, reference: str) -> Record | None:
        """The image, None as well where a blob of it is gone."""
        found = self.document(self._image_path(reference))
        if not found or not self.blob_path(found["manifest"]).exists():
            return None
        record = Record(**found)
        manifest = self.manifest(record)
        own = [manifest.config, *manifest.layers[record.base_layers :]]
        return record if all(self.blob_path(one.digest).exists() for one in own) else None

    def manifest(self, record: Record) -> ImageManifest:
        return ImageManifest.parse(self.get(record.manifest))

    def config(self, record: Record) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.get(self.manifest(record).config.digest))
        return config

    def _image_path(self, reference: str) -> Path:
        return self.folder / "images" / quote(reference, safe="")

    def note(self, kind: str, key: str, value: Any) -> None:
        """Remembers what was found out about a digest."""
        self._write(self.folder / kind / key.replace(":", "-"), json.dumps(value).encode())

    def noted(self, kind: str, key: str) -> Any:
        return self.document(self.folder / kind / key.replace(":", "-"))

    def document(self, path: Path) -> Any:
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None

    def sweep(self) -> None:
        """Removes the blobs that no image names any more."""
        named = {digest for one in self._records() for digest in self._named(one)}
        for path in [*self.folder.glob("blobs/*"), *self.folder.glob("new-*")]:
            with suppress(OSError):
                if (
                    path.name.replace("-", ":", 1) not in named
                    and time.time() - path.stat().st_mtime > _KEEP_S
                ):
                    path.unlink()

    def _records(self) -> Iterator[Record]:
        for path in self.folder.glob("images/*"):
            found = self.document(path)
            if found:
                yield Record(**found)

    def _named(self, record: Record) -> Iterator[str]:
        with suppress(OSError):
            manifest = self.manifest(record)
            yield record.manifest
            yield manifest.config.digest
            yield from (one.digest for one in manifest.layers)

    def _write(self, path: Path, data: bytes) -> None:
        file = self.temporary()
        try:
            file.write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, path)
        finally:
            file.unlink(missing_ok=True)


def descriptor(layer: Layer, media_type: str) -> Descriptor:
    return Descriptor(media_type, layer.digest, layer.size)
