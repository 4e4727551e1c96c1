"""Everything that ``check`` looks at; each look-out is a function from a project to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shardyard.plan import code, distribution, machine
from shardyard.project.findings import Finding
from shardyard.project.model import Project

LOOKOUTS: tuple[Callable[[Project], Iterator[Finding]], ...] = (
    code.entry_point,
    code.files,
    code.requirements,
    machine.base,
    machine.original_library,
    machine.environment,
    distribution.strategies,
    distribution.parameters,
    distribution.mpi,
    distribution.arithmetic,
    machine.instance_type,
)


def all_findings(project: Project) -> list[Finding]:
    """All findings, errors first."""
    found = [finding for look in LOOKOUTS for finding in look(project)]
    return sorted(found, key=lambda one: ("error", "warning", "note").index(one.level))
