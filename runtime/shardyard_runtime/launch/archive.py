"""Unpacks submitted code: only regular files, folders and links that stay inside the target."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from .errors import LaunchError

_USUAL = 0o777
_MOST_BYTES = 64 * 2**30  # a bomb ends with a message, not with a full disk


def unpack(archive: Path, target: Path, shown: str) -> None:
    """Unpacks a tar, however compressed. `shown` is how the user knows the archive."""
    try:
        with tarfile.open(archive, "r:*") as tar:
            total = 0
            links: list[tuple[tarfile.TarInfo, Path]] = []
            for member in tar:
                total += member.size
                if total > _MOST_BYTES:
                    raise LaunchError(f"The code archive {shown!r} holds more than 64 GiB. Submit less.")
                _place(tar, member, target, links, shown)
            # Links come last: a file can never be written through one that the archive itself made.
            for member, path in links:
                _link(member, path, target, shown)
            for member, path in links:  # a later link may have changed where an earlier one leads
                _refuse_escape(member, path, target, shown)
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise LaunchError(
            f"The code archive {shown!r} cannot be unpacked: {error}. It must be a tar file, as "
            "`tar czf sourcedir.tar.gz -C FOLDER .` makes it."
        ) from error


def _place(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    target: Path,
    links: list[tuple[tarfile.TarInfo, Path]],
    shown: str,
) -> None:
    path = target / _relative(member.name, shown)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.isreg():
        path.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        assert source is not None
        with source, open(path, "wb") as file:
            shutil.copyfileobj(source, file)
        path.chmod(member.mode & _USUAL | 0o600)
        os.utime(path, (member.mtime, member.mtime))
    elif member.issym() or member.islnk():
        links.append((member, path))
    else:
        raise LaunchError(f"The code archive {shown!r} holds {member.name!r}, which is a device or a pipe.")


def _link(member: tarfile.TarInfo, path: Path, target: Path, shown: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if member.islnk():
        shutil.copy2(target / _relative(member.linkname, shown), path)
        return
    _refuse_escape(member, path.parent / member.linkname, target, shown)
    path.symlink_to(member.linkname)


def _refuse_escape(member: tarfile.TarInfo, leads_to: Path, target: Path, shown: str) -> None:
    if not Path(os.path.realpath(leads_to)).is_relative_to(os.path.realpath(target)):
        raise LaunchError(
            f"The code archive {shown!r} holds the link {member.name!r} to {member.linkname!r}, which leads "
            "out of the code folder. Submit the file itself."
        )


def _relative(name: str, shown: str) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise LaunchError(
            f"The code archive {shown!r} holds {name!r}, which leads out of the code folder. Pack it with "
            "names relative to the folder."
        )
    return Path(pure)
