"""``model.tar.gz`` and ``output.tar.gz``, as SageMaker makes them of all hosts' files when a job ends, however it ends."""

from __future__ import annotations

import filecmp
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

try:  # ten times as fast as zlib; not for every platform
    from isal import igzip as gzip
except ImportError:
    import gzip  # type: ignore[no-redef]

MODEL = "model.tar.gz"
OUTPUT = "output.tar.gz"
LEVEL = 1
ARCHIVES = {MODEL: "model", OUTPUT: "output/data"}


def pack(output: Path, hosts: Iterable[str]) -> list[str]:
    """Writes both into ``output``. A name that several hosts wrote is the first host's: the names, where what
    they wrote differs."""
    differing: list[str] = []
    names = list(hosts)
    for archive, folder in ARCHIVES.items():
        chosen: dict[Path, Path] = {}
        for host in names:
            differing += [f"{folder}/{name}" for name in _choose(output / host / folder, chosen)]
        with (
            gzip.open(output / archive, "wb", compresslevel=LEVEL) as stream,
            tarfile.open(fileobj=stream, mode="w|") as tar,
        ):
            for name, path in chosen.items():
                tar.add(path, str(name), recursive=False)
    return list(dict.fromkeys(differing))


def _choose(folder: Path, chosen: dict[Path, Path]) -> Iterator[Path]:
    """Adds what is not there yet; yields the names of what differs from what is."""
    for path in _entries(folder):
        name = path.relative_to(folder)
        if any(parent in chosen and not _is_folder(chosen[parent]) for parent in name.parents):
            continue  # said already, of that parent
        if name not in chosen:
            chosen[name] = path
        elif not _alike(chosen[name], path):
            yield name


def _entries(folder: Path) -> Iterator[Path]:
    """Files, links and folders, folders before what is in them."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted([*folders, *files]))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _alike(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    return filecmp.cmp(one, other, shallow=False)
