"""The digest and the size of what is written, on its way."""

from __future__ import annotations

import hashlib

from shardyard.image.tarball import Sink


class Hashing:
    """A file that also knows the digest and the size of what was written to it."""

    def __init__(self, out: Sink) -> None:
        self._out, self._hash, self.size = out, hashlib.sha256(), 0

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._out.write(data)

    def note(self, data: bytes) -> None:
        """Counts for the digest without being written."""
        self._hash.update(data)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()
