"""The input channels of a local job: folders and files of this machine, or what lies in S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard.project.model import Project

NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}")  # SageMaker's own rule; a path cannot end in . or ..
S3 = "s3://"
FILE = "file://"


def channels(project: Project, given: Mapping[str, str | Path] | None = None) -> dict[str, Path | str]:
    """[run] inputs, then those of the command line, whose paths are relative to the working folder: a path
    that is there, or an S3 URI. Raises ProjectError with all that is wrong."""
    found: dict[str, Path | str] = {
        name: where if where.startswith(S3) else project.path(_path(where))
        for name, where in project.run.inputs.items()
    }
    for name, value in (given or {}).items():
        text = str(value)
        found[name] = text if text.startswith(S3) else Path(_path(text)).expanduser().absolute()
    findings = [finding for name, where in found.items() for finding in _wrong(name, where)]
    if findings:
        raise ProjectError("the job's inputs are wrong; nothing was started", findings)
    return found


def _path(text: str) -> str:
    """Of a file URI; any other text is a path."""
    return unquote(urlsplit(text).path) if text.startswith(FILE) else text


def _wrong(name: str, where: Path | str) -> list[Finding]:
    place = f"run.inputs.{name}"
    found = []
    if not NAME.fullmatch(name):
        text = f"{name!r} is no name of a channel: up to 64 letters, digits, '.', '_' and '-'"
        found.append(Finding("error", "channel-name", place, text, "rename it"))
    if isinstance(where, str):
        bucket = where.removeprefix(S3).partition("/")[0]
        if not bucket:
            found.append(
                Finding("error", "no-input", place, f"{where!r} names no bucket", "s3://BUCKET/PREFIX")
            )
    elif not _exists(where):
        text = f"there is no {str(where)!r}"
        found.append(Finding("error", "no-input", place, text, f"--input {name}=PATH or s3://BUCKET/PREFIX"))
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a null byte in it
        return False
