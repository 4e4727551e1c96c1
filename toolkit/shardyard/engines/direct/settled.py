"""Archives that are layers as they stand: what our own writer packs need not be taken apart and packed again."""

from __future__ import annotations

from typing import BinaryIO

from shardyard.engines.direct.layer_tar import WHITEOUT
from shardyard.image.tarball import DIRECTORY_MODE, LINK_MODE, file_mode, header

_BLOCK = 512
_END = bytes(2 * _BLOCK)


def settled(archive: BinaryIO) -> bool:
    """Whether these are the bytes that `layer_tar.write` would make of the archive's entries: each entry's header
    is what the writer gives, every folder comes before what it holds, siblings in the order of their bytes."""
    last: tuple[bytes, ...] = ()
    folders = {last}
    while True:
        block = archive.read(_BLOCK)
        if not block.strip(b"\0"):
            return block + archive.read() == _END
        try:
            name, kind, size = _name(block), block[156:157], int(block[124:135], 8)
            executable = bool(int(block[100:107], 8) & 0o100)
            target = _text(block[157:257])
        except ValueError:
            return False
        mode = {b"5": DIRECTORY_MODE, b"2": LINK_MODE}.get(kind, file_mode(executable))
        if kind not in (b"0", b"2", b"5") or header(name, mode, kind, size, target) != block:
            return False
        parts = tuple(name.encode().rstrip(b"/").split(b"/"))
        if parts <= last or parts[:-1] not in folders or not all(map(_plain, parts)):
            return False
        last = parts
        if kind == b"5":
            folders.add(parts)
        archive.seek(size, 1)
        if archive.read(-size % _BLOCK).strip(b"\0"):  # what fills the last block up
            return False


def _name(block: bytes) -> str:
    above = _text(block[345:500])
    return (above + "/" if above else "") + _text(block[:100])


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("ascii")


def _plain(part: bytes) -> bool:
    return part not in (b"", b".", b"..") and not part.startswith(WHITEOUT.encode())
