"""Files and folders whose bytes are on the disk before anything relies on them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO

SCRATCH = ".ckpt-tmp"


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Lets ``fill`` write a file; returns once its bytes are on the disk."""
    with open(path, "wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Like :func:`write`, but the file appears at its place whole or not at all."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}{SCRATCH}")
    try:
        write(scratch, fill)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Puts a folder's entries on the disk: without it a rename may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
