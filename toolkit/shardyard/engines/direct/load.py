"""Puts what was built here into a local Docker engine: only what that lacks goes over."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.store import Record, Store
from shardyard.engines.docker import DockerEngine
from shardyard.errors import JobError
from shardyard.registry.oci.manifests import Descriptor


def load(engine: DirectEngine, client: docker.DockerClient, reference: str, platform: str) -> str:
    """The image's id in the Docker engine. The base is pulled where the engine lacks it."""
    record = engine.store.find(reference)
    if record is None:
        raise JobError(
            f"the direct engine holds no image {reference!r}. Type: shardyard build --engine direct"
        )
    image_id = engine.store.manifest(record).config.digest
    if _has(client, image_id):
        client.api.tag(image_id, *reference.rsplit(":", 1))
        return image_id
    if not _holds_layers(client, record, engine.store):
        host = record.base.partition("/")[0]
        DockerEngine(client, engine.listener).pull(record.base, platform, engine.sign_in(host))
    with tempfile.TemporaryFile() as file:
        write(engine.store, record, reference, file)
        file.seek(0)
        try:
            for one in client.api.load_image(file):
                if one.get("error"):
                    raise JobError(f"the Docker engine did not take {reference!r}: {one['error']}")
        except (APIError, DockerException) as error:
            raise JobError(f"the Docker engine did not take {reference!r}: {error}") from error
    if not _has(client, image_id):
        raise JobError(f"the Docker engine took {reference!r} and has no image {image_id}")
    return image_id


def _has(client: docker.DockerClient, name: str) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = client.api.inspect_image(name)
        return facts
    except ImageNotFound:
        return None


def _holds_layers(client: docker.DockerClient, record: Record, store: Store) -> bool:
    """Whether some image of the engine stands on the same base."""
    wanted = store.config(record)["rootfs"]["diff_ids"][: record.base_layers]
    for one in client.api.images(all=False):
        facts = _has(client, one["Id"])
        if facts and (facts.get("RootFS") or {}).get("Layers", [])[: len(wanted)] == wanted:
            return True
    return False


def write(store: Store, record: Record, reference: str, out: Any) -> None:
    """The archive that `docker load` reads, without the base's layers: the engine has them."""
    manifest = store.manifest(record)
    diff_ids = store.config(record)["rootfs"]["diff_ids"]
    config = manifest.config.digest.partition(":")[2] + ".json"
    names = [f"{one.partition(':')[2]}/layer.tar" for one in diff_ids]
    listing = [{"Config": config, "RepoTags": [reference], "Layers": names}]
    with tarfile.open(fileobj=out, mode="w") as archive:
        _add(archive, "manifest.json", json.dumps(listing).encode())
        _add(archive, config, store.get(manifest.config.digest))
        own = list(zip(names, manifest.layers, strict=True))[record.base_layers :]
        for name, layer in dict(own).items():
            _add_file(archive, name, store.blob_path(layer.digest), layer)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _add_file(archive: tarfile.TarFile, name: str, path: Path, layer: Descriptor) -> None:
    info = tarfile.TarInfo(name)
    info.size = layer.size
    with path.open("rb") as stream:
        archive.addfile(info, stream)
