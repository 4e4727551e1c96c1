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
    for path in entries(project):
        name = f"{CODE_DIR}/{path.relative_to(root).as_posix()}"
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) and _stays_inside(path, root):
            writer.link(name, os.readlink(path))
        elif path.is_dir():
            writer.directory(name)
        elif path.is_file():
            writer.file(name, path)
        elif stat.S_ISLNK(mode):
            writer.link(name, os.readlink(path))
    writer.end()


def diff_id(project: Project) -> str:
    """The digest of the code layer, uncompressed."""
    with tempfile.TemporaryFile() as file:
        write(project, file)
        file.seek(0)
        return "sha256:" + hashlib.sha256(file.read()).hexdigest()


def entries(project: Project) -> Iterator[Path]:
    """Every path that goes in, in the order of the archive: sorted, a folder before what it holds."""
    root = project.source_dir
    ignore = Ignore.of(root, _own_files(project))
    yield from _walk(root, root, ignore)


def _walk(folder: Path, root: Path, ignore: Ignore) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda one: os.fsencode(one.name)):
        ignored = ignore(path.relative_to(root).as_posix())
        real_folder = path.is_dir() and not path.is_symlink()
        if path.is_symlink() and path.is_dir() and not ignored and not _stays_inside(path, root):
            text = f"{path.relative_to(root)} links to a folder outside of the source folder"
            finding = Finding(
                "error", "link-outside", "image.source_dir", text, "copy the folder, or ignore it"
            )
            raise ProjectError("the code cannot be packed", [finding])
        if not ignored:
            yield path
        if real_folder and (not ignored or ignore.may_keep):
            yield from _walk(path, root, ignore)


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
