"""Jobs whose instances are of several types, and which of them the training is distributed over."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import instances
from shardyard.project.findings import Finding, nearest
from shardyard.project.model import Project

_NAMES = "distribution.instance_groups"
_GROUPS = "job.instance_groups"


def described_once(project: Project) -> Iterator[Finding]:
    """By groups, or by one type and count; each group by a name of its own."""
    names = [group.name for group in project.job.instance_groups]
    for key in sorted({"instance_type", "instance_count"} & project.job.given) if names else ():
        text = "stands beside instance_groups, each of which has its own"
        yield Finding("error", "instance-group", f"job.{key}", text, "remove it")
    for name in sorted({name for name in names if names.count(name) > 1}):
        text = f"several groups are called {name!r}"
        yield Finding("error", "instance-group", _GROUPS, text, "give each its own name")


def named(project: Project) -> Iterator[Finding]:
    """The groups that [distribution] names are there."""
    known = [group.name for group in project.job.instance_groups]
    for name in project.distribution.instance_groups:
        if name not in known:
            guess = nearest(name, known)
            remedy = (
                f"did you mean {guess!r}?" if guess else "add it under [[job.instance_groups]], or remove it"
            )
            text = f"{name!r} is no instance group of this job"
            yield Finding("error", "instance-group", _NAMES, text, remedy)


def one(project: Project) -> Iterator[Finding]:
    """Training is distributed over instances that are alike."""
    groups, names = project.job.instance_groups, project.distribution.instance_groups
    data = project.distribution.smdistributed.dataparallel
    if names and not project.distribution.mpi.enabled and not (data and data.enabled):
        text = f"{names} without a strategy: nothing is distributed"
        yield Finding(
            "error", "instance-group", _NAMES, text, "[distribution.mpi] enabled = true, or remove it"
        )
    elif len(groups) > 1 and len(names) != 1 and project.distribution.given:
        text = f"{len(names)} of {len(groups)} groups named: a job is distributed over one"
        yield Finding("error", "instance-group", _NAMES, text, f'instance_groups = ["{groups[0].name}"]')


def types(project: Project) -> Iterator[Finding]:
    """Known ones; the type of the group that trains is looked at as that of a job with no groups."""
    for group in project.job.instance_groups:
        if group.instance_type == project.job.instance_type or instances.find(group.instance_type):
            continue
        guess = nearest(group.instance_type, instances.names())
        text = f"{group.instance_type!r} of group {group.name!r} is no known training instance type"
        remedy = f"did you mean {guess!r}?" if guess else ""
        yield Finding("warning", "instance-type", _GROUPS, text, remedy)
