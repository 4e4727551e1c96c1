"""Files into and out of a container, as tar streams: everything that comes out belongs to the caller."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

SPOOL = 64 * 1024 * 1024


def pack(folder: Path, prefix: str) -> bytes:
    """A folder as a tar under a prefix; writable for whichever user the image runs as."""
    buffer = io.BytesIO()

    def open_to_all(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mode = 0o777 if member.isdir() else 0o644
        return member

    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, prefix, filter=open_to_all)
    return buffer.getvalue()


def unpack(chunks: Iterable[bytes], target: Path) -> None:
    """A tar stream with one top folder into `target`, without that folder's name."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        extract(spool, target)  # type: ignore[arg-type]


def extract(stream: IO[bytes], target: Path) -> None:
    """Plain files, folders, and links that stay inside; devices and links that lead out are left behind."""
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts[1:]
            place = root.joinpath(*parts)
            if not parts or ".." in parts or not _inside(place.parent.resolve(), root):
                continue
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.issym():
                if _inside((place.parent / member.linkname).resolve(), root):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.unlink(missing_ok=True)
                    place.symlink_to(member.linkname)
            elif member.isfile() or member.islnk():
                _write(tar, member, place)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        return
    place.unlink(missing_ok=True)
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file, 1024 * 1024)
    place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _inside(path: Path, root: Path) -> bool:
    return path == root or root in path.parents
