"""The estimator of the SageMaker Python SDK v2, as keyword arguments and as code.

The SDK looks for `entry_point` inside a local `source_dir` and uploads that folder; the image holds the same
code. (An `entry_point` of `/opt/ml/code/...` would have to exist on the machine that runs the SDK.)
"""

from __future__ import annotations

import pprint
from pathlib import Path
from typing import Any

import jinja2

from shardyard.errors import ProjectError
from shardyard.project.model import Project

TEMPLATE = Path(__file__).with_name("estimator_v2.py.j2")
SDKS = ("v2", "v3", "boto3")
CLASSES = {"pytorch": ("sagemaker.pytorch", "PyTorch"), "tensorflow": ("sagemaker.tensorflow", "TensorFlow")}
OPTIONAL = (
    "output_path",
    "checkpoint_s3_uri",
    "checkpoint_local_path",
    "max_run",
    "volume_size",
    "environment",
)
DEFAULT_TYPE = {"gpu": "ml.p4d.24xlarge", "cpu": "ml.c5.4xlarge"}


class Expression(str):
    """Source code that stands for itself in the rendered code."""


def arguments(project: Project, image_uri: str) -> dict[str, Any]:
    """The keyword arguments of the estimator class; a role that is not configured is the notebook's own."""
    job = project.job
    given: dict[str, Any] = {
        "entry_point": project.image.entry_point,
        "source_dir": str(project.source_dir),
        "image_uri": image_uri,
        "role": job.role or Expression("sagemaker.get_execution_role()"),
        "instance_type": job.instance_type or DEFAULT_TYPE[project.image.device],
        "instance_count": job.instance_count,
        "distribution": project.distribution.as_dict(),
        "hyperparameters": dict(job.hyperparameters),
        "base_job_name": base_job_name(job.name or project.image.name),
    }
    given |= {name: getattr(job, name) for name in OPTIONAL if getattr(job, name)}
    if job.use_spot_instances:
        given |= {"use_spot_instances": True, "max_wait": job.max_wait or job.max_run or 86400}
    if job.subnets:
        given |= {"subnets": job.subnets, "security_group_ids": job.security_group_ids}
    if job.tags:
        given["tags"] = [{"Key": key, "Value": value} for key, value in job.tags.items()]
    return {key: value for key, value in given.items() if value not in ({}, [])}


def base_job_name(name: str) -> str:
    """Letters, digits and hyphens, at most 30 of them so that the SDK's time stamp fits."""
    plain = "".join(c if c.isalnum() else "-" for c in name)
    return plain[:30].strip("-") or "shardyard"


def code(project: Project, image_uri: str) -> str:
    """Code that runs as it stands."""
    module, cls = CLASSES[project.image.framework]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["source"] = _source
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        image_uri=image_uri,
        module=module,
        cls=cls,
        arguments=arguments(project, image_uri),
        inputs=project.job.inputs or None,
    )


def document(project: Project, image_uri: str) -> dict[str, Any]:
    """`arguments` as JSON; a missing role is null."""
    given = arguments(project, image_uri)
    return {key: None if isinstance(value, Expression) else value for key, value in given.items()}


def supported(sdk: str) -> None:
    """Raises for what is not built yet, and for what never was."""
    if sdk not in SDKS:
        raise ProjectError(f"--sdk {sdk!r} is unknown; use one of: {', '.join(SDKS)}")
    if sdk != "v2":
        raise ProjectError(f"--sdk {sdk!r} is not built yet. Type: shardyard estimator --sdk v2")


def _source(value: Any) -> str:
    if isinstance(value, Expression):
        return str(value)
    text = pprint.pformat(value, width=96, sort_dicts=False)
    return text.replace("\n", "\n    ")
