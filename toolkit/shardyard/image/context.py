"""What an engine builds from: the Dockerfile and the files that it names, one archive with settled bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from shardyard.errors import ProjectError
from shardyard.image import code_tar, labels, runtime_tar
from shardyard.image.dockerfile import quoted
from shardyard.image.hashing import Hashing
from shardyard.image.render import render
from shardyard.image.tarball import Writer
from shardyard.project.findings import Finding
from shardyard.project.model import Project


def write(project: Project, out: BinaryIO, more_labels: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes the build context: by how often it changes, at last the Dockerfile with the labels of this build."""
    hashed = Hashing(out)
    writer = Writer(hashed)
    image = project.image
    if image.ca_bundle:
        writer.file("ca-bundle.crt", _existing(project, "ca_bundle", image.ca_bundle))
    if image.requirements:
        writer.file("requirements.txt", _existing(project, "requirements", image.requirements))
    if image.wheelhouse:
        writer.directory("wheelhouse")
        for wheel in sorted(_existing(project, "wheelhouse", image.wheelhouse).glob("*.whl")):
            writer.file(f"wheelhouse/{wheel.name}", wheel)
    _archive(writer, "runtime.tar", lambda file: runtime_tar.write(project, file))
    _archive(writer, "code.tar", lambda file: code_tar.write(project, file))
    dockerfile = render(project)
    hashed.note(dockerfile.encode())
    described = {**more_labels, **labels.of_build(dockerfile, hashed.digest)}
    line = " ".join(f"{name}={quoted(value)}" for name, value in sorted(described.items()))
    writer.data("Dockerfile", f"{dockerfile.rstrip()}\nLABEL {line}\n".encode())
    writer.end()


def _archive(writer: Writer, name: str, fill: Callable[[BinaryIO], None]) -> None:
    with tempfile.TemporaryFile() as file:
        fill(file)
        size = file.tell()
        file.seek(0)
        writer.stream(name, file, size)


def _existing(project: Project, key: str, value: str) -> Path:
    path = project.path(value)
    fits = path.is_dir() if key == "wheelhouse" else path.is_file()
    if not fits:
        what = "folder" if key == "wheelhouse" else "file"
        finding = Finding("error", "no-file", f"image.{key}", f"there is no {what} {value!r}")
        raise ProjectError("a file of the project is missing", [finding])
    return path
