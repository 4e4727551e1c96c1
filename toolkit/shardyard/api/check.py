"""``shardyard check``"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shardyard.errors import ProjectError
from shardyard.plan.findings import all_findings, errors_first
from shardyard.project.findings import Finding
from shardyard.project.load import load


def check(
    project: str | Path = ".", *, online: bool = False, overrides: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Everything that is wrong with the project, or worth knowing; nothing is raised for a wrong project.

    ``online`` asks AWS, the registries and this machine, too: credentials, the right to pull the base and to push,
    the repository, the job's role and data, the engine, the disk. Nothing is changed by that.
    """
    try:
        loaded = load(project, overrides)
    except ProjectError as error:
        return error.findings
    found = all_findings(loaded)
    if online:
        from shardyard.preflight.findings import preflight  # late: boto3 takes its time

        found = errors_first([*found, *preflight(loaded)])
    return found
