"""A folder for one local job, and what jobs left whose command was killed.

A lock beside the folder is held as long as the command lives, whatever ends it. A lock that can be taken
therefore belongs to a job that nobody looks after any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shardyard.errors import MissingError
from shardyard.local import locks
from shardyard.paths import cache_dir

LOCK = ".lock"


@contextmanager
def workplace(name: str, engine: str) -> Iterator[Path]:
    """A new empty folder, gone at the end. ``engine`` says where the job runs."""
    home = cache_dir() / "local"
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = locks.take(home / f"{name}{LOCK}", wait=True)  # a clean-up may look at it in this moment
    except OSError as error:
        raise MissingError(
            f"cannot make a folder for the job in {str(home)!r}: {error.strerror or error}. "
            "Set SHARDYARD_CACHE to a folder of yours"
        ) from error
    assert lock is not None
    try:
        os.write(lock, engine.encode())
        folder = home / name
        folder.mkdir()
        yield folder
    finally:
        remove_tree(home / name)
        locks.release(home / f"{name}{LOCK}", lock)


def clean_up(engine: str, remove: Callable[[str], bool]) -> list[str]:
    """Takes away what is left of jobs on this engine that were killed: ``remove`` is given each one's name, and
    says whether there was anything. The names of those that had left something running."""
    found = []
    for path in sorted((cache_dir() / "local").glob(f"*{LOCK}")):
        try:
            lock = locks.take(path)
        except OSError:  # another user's
            continue
        if lock is None:  # its command lives
            continue
        if os.read(lock, 4096).decode() not in (engine, ""):  # empty: killed before it had written anything
            os.close(lock)
            continue
        name = path.name.removesuffix(LOCK)
        if remove(name):
            found.append(name)
        remove_tree(path.with_name(name))
        locks.release(path, lock)
    return found


def remove_tree(folder: Path) -> None:
    """Also where a script took the right to write away from folders of its own."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    if not folder.exists():
        return
    with suppress(PermissionError):
        folder.chmod(0o700)
    for place, names, _ in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                with suppress(PermissionError):
                    path.chmod(0o700)
    shutil.rmtree(folder)
