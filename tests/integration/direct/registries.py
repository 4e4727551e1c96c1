"""A real registry on a port of its own, and a small base image in it."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import subprocess
import tarfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from shardyard.registry.oci import manifests
from shardyard.registry.oci.auth import Authorized, nobody
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.manifests import Descriptor, ImageManifest, digest_of
from shardyard.registry.oci.transport import Http

LARGE = 6 << 20  # beyond a single PUT, and several chunks long
FILES = {
    "usr/bin/python3.11": b"",
    "usr/lib/python3/dist-packages/mpi4py/__init__.py": b"",
    "usr/lib/libmpi.so.40": b"",
    "lib/libc.so.6": b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Registry:
    """Debian's docker-registry without TLS or password."""

    def __init__(self, folder: Path) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "storage")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "test"},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        command = ["docker-registry", "serve", str(folder / "config.yml")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            with suppress(OSError), urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1):
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError("docker-registry does not answer")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def repository(host: str, name: str) -> Repository:
    return Repository(Authorized(Http(), host, nobody), host, name)


def _tar(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return gzip.compress(out.getvalue(), 1, mtime=0)


def push_base(
    host: str,
    name: str = "base",
    kind: str = manifests.DOCKER,
    *,
    tag: str = "1",
    files: dict[str, bytes] = FILES,
    env: tuple[str, ...] = ("PATH=/usr/local/bin:/usr/bin", "OLD=1"),
    architecture: str = "amd64",
) -> ImageManifest:
    """A base with a Python, an MPI and a large layer; only names matter."""
    links = {"usr/bin/python3": next(one for one in files if "bin/python3." in one).rpartition("/")[2]}
    links["usr/lib/python3/dist-packages/x"] = "mpi4py"
    data = [_tar(files, links), _tar({"opt/large": random.Random(7).randbytes(LARGE)}, {})]
    plain = [gzip.decompress(one) for one in data]
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {
            "Env": list(env),
            "Entrypoint": ["/bin/x"],
            "Labels": {"a": "b", "shardyard.project.digest": "its own"},
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in plain]},
        "history": [{"created_by": "one"}, {"created_by": "two"}],
        "container": "gone",
    }
    raw = json.dumps(config).encode()
    to = repository(host, name)
    layers = [Descriptor(manifests.LAYER_TYPE[kind], digest_of(one), len(one)) for one in data]
    described = Descriptor(manifests.CONFIG_TYPE[kind], digest_of(raw), len(raw))
    for blob, content in [*zip(layers, data, strict=True), (described, raw)]:
        Blobs(to).upload(blob, lambda content=content: iter([content]))  # type: ignore[misc]
    manifest = ImageManifest.make(kind, described, tuple(layers))
    to.put_manifest(tag, manifest)
    return manifest
