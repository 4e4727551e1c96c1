"""The user's code as one canonical archive: the same project gives the same bytes, under every engine."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shardyard.errors import ProjectError
from shardyard.image.ignore import Ignore
from shardyard.image.tarball import Writer
from shardyard.project.findings import Finding
from shardyard.project.model import Project

CODE_DIR = "opt/ml/code"


def write(project: Project, out: BinaryIO) -> None:
    """Writes the archive of ``source_dir`` as it lies under /opt/ml/code."""
    root = project.source_dir
    if not root.is_dir():
        finding = Finding(
            "error", "no-source", "image.source_dir", f"{project.image.source_dir!r} is no folder"
        )
        raise ProjectError("no code to pack", [finding])
    writer = Writer(out)
    writer.directory(CODE_DIR)
    for name, path in entries(project):
        inside = f"{CODE_DIR}/{name}"
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode):
            writer.file(inside, path)
        elif stat.S_ISDIR(mode):
            writer.directory(inside)
        elif stat.S_ISLNK(mode) and (not os.path.exists(path) or _stays_inside(Path(path), root)):
            writer.link(inside, os.readlink(path))
        elif os.path.isfile(path):
            writer.file(inside, path)
    writer.end()


def diff_id(project: Project) -> str:
    """The digest of the code layer, uncompressed."""
    with tempfile.TemporaryFile() as file:
        write(project, file)
        file.seek(0)
        return "sha256:" + hashlib.sha256(file.read()).hexdigest()


def entries(project: Project) -> Iterator[tuple[str, str]]:
    """Every path that goes in, below the root and on this machine, in the order of the archive: sorted, a folder
    before what it holds."""
    root = project.source_dir
    yield from _walk(str(root), "", root, Ignore.of(root, _own_files(project)))


def _walk(folder: str, above: str, root: Path, ignore: Ignore) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as found:
        listed = sorted(found, key=lambda one: os.fsencode(one.name))
    for one in listed:
        name = above + one.name
        ignored = ignore(name)
        if (
            one.is_symlink()
            and os.path.isdir(one.path)
            and not ignored
            and not _stays_inside(Path(one.path), root)
        ):
            text = f"{name} links to a folder outside of the source folder"
            finding = Finding(
                "error", "link-outside", "image.source_dir", text, "copy the folder, or ignore it"
            )
            raise ProjectError("the code cannot be packed", [finding])
        if not ignored:
            yield name, one.path
        if one.is_dir(follow_symlinks=False) and (not ignored or ignore.may_keep):
            yield from _walk(one.path, f"{name}/", root, ignore)


def _stays_inside(link: Path, root: Path) -> bool:
    target = os.readlink(link)
    try:
        return not os.path.isabs(target) and (link.parent / target).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return True


def _own_files(project: Project) -> Iterator[str]:
    """The wheels and the outputs of local runs, where they lie inside the source folder."""
    for value in (project.image.wheelhouse, project.run.output):
        if value:
            path = project.path(value).resolve()
            if path != project.source_dir.resolve() and path.is_relative_to(project.source_dir.resolve()):
                yield path.relative_to(project.source_dir.resolve()).as_posix()
