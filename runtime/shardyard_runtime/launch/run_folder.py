"""The launcher's private folder. It goes with the launcher; what a killed one left goes at the next start."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from .errors import LaunchError

PREFIX = "shardyard-"
LOCK = "alive"  # locked for as long as the folder's launcher lives, however it ends
_held: dict[Path, int] = {}


def make() -> Path:
    try:
        remove_stale(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LaunchError(
            f"The launcher finds no folder for its own files: {error}. Make room in /tmp, mount a file system there "
            "that can be written to, or name another folder in TMPDIR.",
            exit_code=3,
        ) from error
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _held[folder] = descriptor
    return folder


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder in _held:
        os.close(_held.pop(folder))


def remove_stale(parent: Path) -> None:
    """Folders of ours whose lock nobody holds. One without a lock file is being made, or not the launcher's."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
