"""shardyard.toml: parse, validate, complete. Every finding at once, and never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic_core import ValidationError

from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard.project.model import FILE_NAME, Job, Project
from shardyard.project.numbers import too_large
from shardyard.project.shape import as_findings, before_validation
from shardyard.project.typed import read

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(path: str | Path = ".", overrides: Mapping[str, Any] | None = None) -> Project:
    """The project of this file, or of this folder's shardyard.toml.

    ``overrides`` are the command line's flags: dotted keys (``"registry.tag"``) whose value replaces the
    file's; None leaves the file's. Raises ProjectError with all findings.
    """
    file = find(path)
    raw = parse(file)
    _override(raw, overrides or {})
    return validate(raw, file)


def find(path: str | Path) -> Path:
    """The project file that ``path`` means."""
    given = Path(os.path.expanduser(path))
    try:
        file = given / FILE_NAME if given.is_dir() else given
        exists = file.is_file()
    except (OSError, ValueError):
        exists = False
        file = given
    if not exists:
        finding = Finding(
            "error",
            "no-project",
            str(path),
            f"there is no {FILE_NAME} here",
            f"shardyard init {path}" if given.suffix != ".toml" else "shardyard init",
        )
        raise ProjectError("no project found", [finding])
    return file.absolute()


def parse(file: Path) -> dict[str, Any]:
    """The file as plain data."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        large = too_large(data)
        if large is None:
            return data
        reason = f"{large} is a whole number beyond 64 bits"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    except OSError as error:
        reason = error.strerror or str(error)
    finding = Finding(
        "error", "not-toml", file.name, f"cannot be read as TOML: {reason}", f"edit {file.name}"
    )
    raise ProjectError(f"{file.name} is not valid", [finding])


def validate(raw: dict[str, Any], file: Path) -> Project:
    """Plain data as a project, completed."""
    findings = before_validation(raw, file.parent)
    project: Project | None = None
    try:
        project = read(Project, {"image": {}, **raw, "root": file.parent})
    except ValidationError as error:
        findings += as_findings(error, raw)
    if project is None or findings:
        unique = list(dict.fromkeys(findings))
        raise ProjectError(f"{file.name} has {len(unique)} problem{'s' * (len(unique) > 1)}", unique)
    return complete(project)


def complete(project: Project) -> Project:
    """Fills what follows from the rest: hosts and processes of a local run, the repository's name."""
    mpi = project.distribution.mpi
    processes = mpi.processes_per_host if mpi.enabled and mpi.processes_per_host else 1
    hosts = sum(group.instance_count for group in project.job.instance_groups)
    run = replace(
        project.run,
        hosts=project.run.hosts or hosts or project.job.instance_count,
        processes_per_host=project.run.processes_per_host or processes,
    )
    registry = replace(project.registry, repository=project.registry.repository or project.image.name)
    job = _distributed_over(project.job, project.distribution.instance_groups)
    return replace(project, run=run, registry=registry, job=job)


def _distributed_over(job: Job, names: list[str]) -> Job:
    """The instances of the groups of these names, or of all groups where none is named."""
    groups = [group for group in job.instance_groups if group.name in names] or job.instance_groups
    if not groups:
        return job
    count = sum(group.instance_count for group in groups)
    return replace(job, instance_type=groups[0].instance_type, instance_count=count)


def _override(raw: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for dotted, value in overrides.items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        table: Any = raw
        for section in sections:
            table = table.setdefault(section, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[key] = value
