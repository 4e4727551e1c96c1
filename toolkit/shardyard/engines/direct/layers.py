"""Entries to a compressed layer in the store, in one pass."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterable
from typing import Any, BinaryIO

from shardyard.engines.direct import layer_tar
from shardyard.engines.direct.layer_tar import Entry
from shardyard.engines.direct.settled import settled
from shardyard.engines.direct.store import Layer, Store
from shardyard.image.hashing import Hashing

try:  # 347 MB/s at zlib's ratio; zlib does 25 MB/s at its default, and where there is no wheel of isal
    from isal import isal_zlib
except ImportError:
    isal_zlib = None  # type: ignore[assignment]

_IN_MEMORY = 64 * 1024 * 1024
_CHUNK = 1 << 20
_GZIP = 31  # a gzip header: no name, time 0


def _compressor() -> Any:
    if isal_zlib is not None:
        return isal_zlib.compressobj(2, isal_zlib.DEFLATED, _GZIP)
    return zlib.compressobj(6, zlib.DEFLATED, _GZIP)


def make(entries: Iterable[Entry], store: Store) -> Layer:
    """The layer, compressed unless the store has it already."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        tee = Hashing(spool)
        layer_tar.write(entries, tee)
        diff_id = tee.digest
        found = store.layer(diff_id)
        if found is not None:
            return found
        spool.seek(0)
        return _compress(spool, diff_id, store)  # type: ignore[arg-type]


def unpacked(archive: BinaryIO, store: Store) -> Layer:
    """The layer that an archive unpacks to at the root."""
    if not settled(archive):
        archive.seek(0)
        return make(layer_tar.from_tar(archive), store)
    archive.seek(0)
    hashed = hashlib.sha256()
    while chunk := archive.read(_CHUNK):
        hashed.update(chunk)
    archive.seek(0)
    diff_id = "sha256:" + hashed.hexdigest()
    return store.layer(diff_id) or _compress(archive, diff_id, store)


def _compress(stream: BinaryIO, diff_id: str, store: Store) -> Layer:
    file = store.temporary()
    try:
        with file.open("wb") as raw:
            out = Hashing(raw)
            compressor = _compressor()
            while chunk := stream.read(_CHUNK):
                out.write(compressor.compress(chunk))
            out.write(compressor.flush())
        layer = Layer(diff_id, out.digest, out.size)
        store.keep(layer, file)
        return layer
    finally:
        file.unlink(missing_ok=True)
