"""Tar archives whose bytes follow from their contents alone, in the shape that Go's writer gives.

ustar; every directory listed, with a trailing slash; time 0; owner root with names; modes with the bits of
the file's type; device numbers written as zeros; 1,024 bytes at the end. A layer that an engine makes by
unpacking such an archive and reading it back has the archive's own digest.
"""

from __future__ import annotations

import os
import shutil
import struct
import tarfile
from pathlib import Path, PurePosixPath
from posixpath import dirname
from typing import BinaryIO, Protocol

_BLOCK = 512
_KINDS = {b"0": 0o100000, b"5": 0o040000, b"2": 0o120000}
_LARGEST = 8**11 - 1
_AT_ONCE = 1 << 20
DIRECTORY_MODE, LINK_MODE = 0o755, 0o777
# name, mode, user, group, size, time, sum, kind, target, magic, names of user and group, device, prefix
_USTAR = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_ZERO = b"0" * 7


class Sink(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> int: ...


class Writer:
    """Writes entries in the order of the calls; parents that were not listed come first by themselves."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._listed: set[str] = set()

    def directory(self, name: str) -> None:
        """Lists the directory and its parents."""
        if name in ("", ".") or name + "/" in self._listed:
            return
        for parent in [*reversed(PurePosixPath(name).parents), PurePosixPath(name)]:
            text = f"{parent}/"
            if str(parent) != "." and text not in self._listed:
                self._listed.add(text)
                self._out.write(header(text, DIRECTORY_MODE, b"5", 0))

    def data(self, name: str, content: bytes, *, executable: bool = False) -> None:
        self.directory(dirname(name))
        self._out.write(header(name, file_mode(executable), b"0", len(content)))
        self._out.write(content + bytes(-len(content) % _BLOCK))

    def file(self, name: str, source: str | Path) -> None:
        """A file of this machine; executable when its owner may execute it."""
        with open(source, "rb") as stream:
            facts = os.fstat(stream.fileno())
            self.stream(name, stream, facts.st_size, executable=bool(facts.st_mode & 0o100))

    def stream(self, name: str, stream: BinaryIO, size: int, *, executable: bool = False) -> None:
        self.directory(dirname(name))
        self._out.write(header(name, file_mode(executable), b"0", size))
        if size <= _AT_ONCE:
            self._out.write(stream.read(size))
        else:
            shutil.copyfileobj(stream, self._out, _AT_ONCE)
        self._out.write(bytes(-size % _BLOCK))

    def link(self, name: str, target: str) -> None:
        self.directory(dirname(name))
        self._out.write(header(name, LINK_MODE, b"2", 0, target))

    def end(self) -> None:
        self._out.write(bytes(2 * _BLOCK))


def file_mode(executable: bool) -> int:
    return 0o755 if executable else 0o644


def header(name: str, mode: int, kind: bytes, size: int, target: str = "") -> bytes:
    """What stands before an entry; `kind` as tar has it: 0 a file, 2 a link, 5 a directory."""
    split = _split(name)
    if split is None or not target.isascii() or len(target) > 100 or size > _LARGEST:
        return _extended(name, mode, kind, size, target)
    short, prefix = split
    block = _USTAR.pack(
        short.encode(), b"%07o" % (mode | _KINDS[kind]), _ZERO, _ZERO, b"%011o" % size, b"0" * 11, b" " * 8,
        kind, target.encode(), b"ustar\00000", b"root", b"root", _ZERO, _ZERO, prefix.encode(),
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: str) -> tuple[str, str] | None:
    """Name and prefix as ustar holds them, or None when it cannot."""
    if not name.isascii():
        return None
    if len(name) <= 100:
        return name, ""
    at = name[: min(len(name.rstrip("/")), 156)].rfind("/")
    if at <= 0 or not 0 < len(name) - at - 1 <= 100:
        return None
    return name[at + 1 :], name[:at]


def _extended(name: str, mode: int, kind: bytes, size: int, target: str) -> bytes:
    """What ustar cannot hold goes into a pax header."""
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.linkname = mode, kind, size, target
    info.uname = info.gname = "root"
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
