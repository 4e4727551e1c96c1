"""Tar archives whose bytes follow from their contents alone, in the shape that Go's writer gives.

ustar; every directory listed, with a trailing slash; time 0; owner root with names; modes with the bits of
the file's type; device numbers written as zeros; 1,024 bytes at the end. A layer that an engine makes by
unpacking such an archive and reading it back has the archive's own digest.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

_BLOCK = 512
_KINDS = {b"0": 0o100000, b"5": 0o040000, b"2": 0o120000}
_LARGEST = 8**11 - 1


class Writer:
    """Writes entries in the order of the calls; parents that were not listed come first by themselves."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._listed: set[str] = set()

    def directory(self, name: str) -> None:
        """Lists the directory and its parents."""
        if name + "/" in self._listed:
            return
        for parent in [*reversed(PurePosixPath(name).parents), PurePosixPath(name)]:
            text = f"{parent}/"
            if str(parent) != "." and text not in self._listed:
                self._listed.add(text)
                self._out.write(_header(text, 0o755, b"5", 0, ""))

    def data(self, name: str, content: bytes, *, executable: bool = False) -> None:
        self.directory(str(PurePosixPath(name).parent))
        self._out.write(_header(name, 0o755 if executable else 0o644, b"0", len(content), ""))
        self._out.write(content + bytes(-len(content) % _BLOCK))

    def file(self, name: str, source: Path) -> None:
        """A file of this machine; executable when its owner may execute it."""
        with source.open("rb") as stream:
            self.stream(name, stream, source.stat().st_size, executable=bool(source.stat().st_mode & 0o100))

    def stream(self, name: str, stream: BinaryIO, size: int, *, executable: bool = False) -> None:
        self.directory(str(PurePosixPath(name).parent))
        self._out.write(_header(name, 0o755 if executable else 0o644, b"0", size, ""))
        shutil.copyfileobj(stream, self._out, 1 << 20)
        self._out.write(bytes(-size % _BLOCK))

    def link(self, name: str, target: str) -> None:
        self.directory(str(PurePosixPath(name).parent))
        self._out.write(_header(name, 0o777, b"2", 0, target))

    def end(self) -> None:
        self._out.write(bytes(2 * _BLOCK))


def _header(name: str, mode: int, kind: bytes, size: int, target: str) -> bytes:
    split = _split(name)
    if split is None or not target.isascii() or len(target) > 100 or size > _LARGEST:
        return _extended(name, mode, kind, size, target)
    short, prefix = split
    fields = [
        (short.encode(), 100),
        (_octal(mode | _KINDS[kind], 8), 8),
        (_octal(0, 8), 8),
        (_octal(0, 8), 8),
        (_octal(size, 12), 12),
        (_octal(0, 12), 12),
        (b" " * 8, 8),
        (kind, 1),
        (target.encode(), 100),
        (b"ustar\0" + b"00", 8),
        (b"root", 32),
        (b"root", 32),
        (_octal(0, 8), 8),
        (_octal(0, 8), 8),
        (prefix.encode(), 155),
    ]
    block = b"".join(value.ljust(width, b"\0") for value, width in fields).ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


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
