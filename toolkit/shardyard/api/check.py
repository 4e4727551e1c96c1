"""``shardyard check``"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shardyard.errors import ProjectError
from shardyard.plan.findings import all_findings
from shardyard.project.findings import Finding
from shardyard.project.load import load


def check(project: str | Path = ".", *, overrides: Mapping[str, Any] | None = None) -> list[Finding]:
    """Everything that is wrong with the project, or worth knowing; nothing is raised for a wrong project."""
    try:
        loaded = load(project, overrides)
    except ProjectError as error:
        return error.findings
    return all_findings(loaded)
