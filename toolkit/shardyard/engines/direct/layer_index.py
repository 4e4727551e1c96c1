"""What lies in a layer of the base: names and links, and the few facts that need a look into a file."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from shardyard.errors import ProjectError
from shardyard.registry.oci.errors import RegistryError

try:
    from isal import isal_zlib as fast
except ImportError:
    import zlib as fast  # type: ignore[no-redef]

# What was found is kept under this name; it changes with what is looked for.
NOTED = "indices-2"
# Kept whole: what tells which packages are there, of Python and of the system, and a virtual environment's settings.
_KEPT = re.compile(
    r"(?:^|/)(?:[^/]+\.(?:dist|egg)-info/(?:METADATA|PKG-INFO|RECORD)|pyvenv\.cfg)$"
    r"|^var/lib/dpkg/status(?:\.d/[^/]+)?$|^(?:etc|usr/lib)/os-release$"
)
_LIBC = re.compile(r"(?:^|/)(?:libc\.so\.6|libc-2\.\d+\.so)$")
_LIBC_VERSION = re.compile(rb"GNU C Library[^\n]*? version (2\.\d+)")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DAMAGED: tuple[type[Exception], ...] = (tarfile.TarError, fast.error)  # type: ignore[assignment]
_LARGEST = 16 * 1024 * 1024


@dataclass
class LayerIndex:
    """`paths` holds the target for links, else the kind: d or f."""

    paths: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    glibc: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"paths": self.paths, "kept": self.kept, "glibc": self.glibc}


def scan(chunks: Iterable[bytes]) -> LayerIndex:
    """Reads a compressed layer once, from front to back."""
    index = LayerIndex()
    try:
        with tarfile.open(fileobj=Pipe(unpacked(chunks)), mode="r:") as archive:  # type: ignore[call-overload]
            for one in archive:
                archive.members = []  # a stream of any length in bounded memory
                enter(index, archive, one)
    except _DAMAGED as error:
        raise RegistryError(f"a layer of the base cannot be read: {error}") from error
    return index


def enter(index: LayerIndex, archive: tarfile.TarFile, one: tarfile.TarInfo) -> bytes | None:
    """Notes one entry; gives the content of a file whose content is noted, too."""
    name = one.name.removeprefix("./").strip("/")
    above = name.rpartition("/")[0]
    while above and above not in index.paths:  # not every builder lists the folders
        index.paths[above] = "d"
        above = above.rpartition("/")[0]
    if one.issym():
        index.paths[name] = "l" + one.linkname
    elif one.islnk():
        index.paths[name] = "l/" + one.linkname.lstrip("/")
    else:
        index.paths[name] = "d" if one.isdir() else "f"
    if not one.isreg() or one.size > _LARGEST or not (_KEPT.search(name) or _LIBC.search(name)):
        return None
    data = content(archive, one)
    if _KEPT.search(name):
        index.kept[name] = data.decode(errors="replace")
    elif found := _LIBC_VERSION.search(data):
        index.glibc = found[1].decode()
    return data


def content(archive: tarfile.TarFile, one: tarfile.TarInfo) -> bytes:
    """What is in a file; an archive that goes forward only gives it once."""
    stream = archive.extractfile(one)
    return stream.read() if stream else b""


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompressed, by the first bytes: gzip, or a plain archive."""
    rest = iter(chunks)
    first = b""
    while len(first) < len(_ZSTD) and (more := next(rest, b"")):
        first += more
    if first.startswith(_ZSTD):
        raise ProjectError(
            "the base's layers are compressed with zstd, which the direct engine cannot look into. "
            "Type: shardyard build-and-push --engine docker"
        )
    if not first.startswith(_GZIP):
        yield first
        yield from rest
        return
    engine = _inflater()
    for chunk in chain((first,), rest):
        left = chunk
        while left:
            if engine.eof:  # a gzip file may have several members
                engine = _inflater()
            yield engine.decompress(left)
            left = engine.unused_data


def _inflater() -> Any:
    return fast.decompressobj(31)


class Pipe:
    """An iterator of chunks as a file that goes forward only; what is skipped is never copied."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = (one for one in chunks if one)
        self._held, self._at, self._before = b"", 0, 0

    def tell(self) -> int:
        return self._before + self._at

    def seek(self, place: int) -> None:
        while place > self._before + len(self._held) and self._next():
            pass
        self._at = min(place - self._before, len(self._held))
        if self._at < 0:
            raise tarfile.ReadError("an archive that goes back")

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._held[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
            if size and not self._next():
                break
        return b"".join(parts)

    def _next(self) -> bool:
        self._before += len(self._held)
        self._held, self._at = next(self._chunks, b""), 0
        return bool(self._held)
