"""Lock files: held as long as the command lives, whatever ends it, and gone afterwards."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def take(path: Path, wait: bool = False) -> int | None:
    """The descriptor of the lock, a file that is made when it is missing; None while another command has it,
    unless that is waited for."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(lock)
            return None
        if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
            return lock
        os.close(lock)  # its last holder removed it between our two calls


def release(path: Path, lock: int) -> None:
    """Removes the file, too."""
    path.unlink(missing_ok=True)
    os.close(lock)
