"""The script, its folder, and the files that the image needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from shardyard.image.ignore import Ignore
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_USERINFO = re.compile(r"://[^/\s@]+@")


def entry_point(project: Project) -> Iterator[Finding]:
    """There, inside the source folder, and not ignored."""
    image, root = project.image, project.source_dir
    if not root.is_dir():
        text = f"{image.source_dir!r} is no folder"
        yield Finding("error", "no-source", "image.source_dir", text, f"mkdir {image.source_dir}")
        return
    script = (root / image.entry_point).resolve()
    inside = script.is_relative_to(root.resolve())
    if PurePosixPath(image.entry_point).is_absolute() or not inside:
        text = f"{image.entry_point!r} is outside of source_dir {image.source_dir!r}"
        yield Finding("error", "outside", "image.entry_point", text, "name it relative to source_dir")
    elif not script.is_file():
        have = sorted(path.name for path in root.glob("*.py"))
        remedy = f"there is: {', '.join(have[:8])}" if have else "shardyard init writes a working script"
        text = f"{image.entry_point!r} is not in {image.source_dir!r}"
        yield Finding("error", "no-entry-point", "image.entry_point", text, remedy)
    elif Ignore.of(root)(PurePosixPath(image.entry_point).as_posix()):
        text = f"{image.entry_point!r} is ignored by .dockerignore"
        yield Finding("error", "ignored", "image.entry_point", text, "change .dockerignore")


def files(project: Project) -> Iterator[Finding]:
    """The files that the project names."""
    for key in ("requirements", "ca_bundle", "wheelhouse"):
        value = getattr(project.image, key)
        if value is None:
            continue
        path = project.path(value)
        fits = path.is_dir() if key == "wheelhouse" else path.is_file()
        if not fits:
            what = "folder" if key == "wheelhouse" else "file"
            yield Finding("error", "no-file", f"image.{key}", f"there is no {what} {value!r}")
        elif key == "wheelhouse" and not any(path.glob("*.whl")):
            yield Finding("warning", "no-wheels", "image.wheelhouse", f"{value!r} holds no wheel")


def requirements(project: Project) -> Iterator[Finding]:
    """Lines that cannot work in the image, or must not be in it."""
    value = project.image.requirements
    if value is None or not project.path(value).is_file():
        return
    lines = project.path(value).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        where, text = f"{value}:{number}", line.strip()
        if _USERINFO.search(text):
            message = "holds a user name or password, which would stay readable in the image"
            yield Finding("error", "credential", where, message, "use a wheelhouse instead")
        elif text.startswith(("-r", "-c", "-e", "--requirement", "--constraint", "./", "../", "file:")):
            message = f"{text!r} refers to a file that is not sent along"
            yield Finding(
                "error", "local-requirement", where, message, "put its lines here, or use a wheelhouse"
            )
