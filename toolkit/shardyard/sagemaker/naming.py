"""What a job is called, and which instances it takes when [job] does not say."""

from __future__ import annotations

from datetime import datetime, timezone

from shardyard.project.model import Project

DEFAULT_TYPE = {"gpu": "ml.p4d.24xlarge", "cpu": "ml.c5.4xlarge"}
STAMP = "%Y-%m-%d-%H-%M-%S-%f"  # without the microseconds' last three digits it is the SDK's


def base_job_name(project: Project) -> str:
    """ASCII letters, digits and hyphens, at most 30 of them so that the time stamp fits."""
    name = project.job.name or project.image.name
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
    return plain[:30].strip("-") or "shardyard"


def job_name(project: Project) -> str:
    """The base name and the time, to the millisecond."""
    return f"{base_job_name(project)}-{datetime.now(timezone.utc).strftime(STAMP)[:-3]}"


def instance_type(project: Project) -> str:
    return project.job.instance_type or DEFAULT_TYPE[project.image.device]
