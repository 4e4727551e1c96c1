"""The instances of a job: of one type, or in groups, by the names of the SDKs and by those of the API."""

from __future__ import annotations

from typing import Any

from shardyard.project.model import Project
from shardyard.sagemaker.naming import instance_type

_API = {
    "instance_type": "InstanceType",
    "instance_count": "InstanceCount",
    "instance_groups": "InstanceGroups",
    "instance_group_name": "InstanceGroupName",
}


def arguments(project: Project) -> dict[str, Any]:
    """Keyword arguments of both SDKs; groups as tables."""
    groups = [
        {
            "instance_group_name": one.name,
            "instance_type": one.instance_type,
            "instance_count": one.instance_count,
        }
        for one in project.job.instance_groups
    ]
    if groups:
        return {"instance_groups": groups}
    return {"instance_type": instance_type(project), "instance_count": project.job.instance_count}


def resources(project: Project) -> dict[str, Any]:
    """Of CreateTrainingJob's ResourceConfig."""
    return _renamed(arguments(project))


def _renamed(table: dict[str, Any]) -> dict[str, Any]:
    return {
        _API[name]: [_renamed(one) for one in value] if isinstance(value, list) else value
        for name, value in table.items()
    }


def types(project: Project) -> list[str]:
    return [one.instance_type for one in project.job.instance_groups] or [instance_type(project)]


def distribution_groups(project: Project) -> list[str]:
    """The groups that the SDK v2 sends: those named, or the only one."""
    groups = project.job.instance_groups
    alone = [one.name for one in groups] if len(groups) == 1 and project.distribution.given else []
    return project.distribution.instance_groups or alone
