"""The estimator of the SageMaker Python SDK v2, as keyword arguments and as code.

The SDK looks for `entry_point` inside a local `source_dir` and uploads that folder; the image holds the same
code. (An `entry_point` of `/opt/ml/code/...` would have to exist on the machine that runs the SDK.) The path
is relative to the project's folder, so that what is printed here can be committed and runs anywhere.
"""

from __future__ import annotations

import os
from typing import Any

import jinja2

from shardyard.errors import ProjectError
from shardyard.paths import data_dir
from shardyard.project.model import Project
from shardyard.sagemaker.sdk_v2 import past_refusals
from shardyard.sagemaker.source import Expression, source

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


def arguments(project: Project, image_uri: str) -> dict[str, Any]:
    """The keyword arguments of the estimator class; a role that is not configured is the notebook's own."""
    job = project.job
    instance_type = job.instance_type or DEFAULT_TYPE[project.image.device]
    distribution, moved = past_refusals(project.distribution.as_dict(), instance_type)
    given: dict[str, Any] = {
        "entry_point": project.image.entry_point,
        "source_dir": os.path.normpath(os.path.expanduser(project.image.source_dir)),
        "image_uri": image_uri,
        "role": job.role or Expression("sagemaker.get_execution_role()"),
        "instance_type": instance_type,
        "instance_count": job.instance_count,
        "distribution": distribution,
        "hyperparameters": dict(job.hyperparameters) | moved,
        "base_job_name": base_job_name(job.name or project.image.name),
    }
    given |= {name: getattr(job, name) for name in OPTIONAL if getattr(job, name)}
    if job.use_spot_instances:
        given |= {"use_spot_instances": True, "max_wait": job.max_wait or job.max_run or 86400}
    if bool(job.subnets) != bool(job.security_group_ids):  # the SDK would leave out the one that is there
        raise ProjectError(
            f"[job] subnets = {job.subnets} and security_group_ids = {job.security_group_ids}: a job inside a "
            "VPC needs both. Add the other to shardyard.toml"
        )
    if job.subnets:
        given |= {"subnets": job.subnets, "security_group_ids": job.security_group_ids}
    if job.tags:
        given["tags"] = [{"Key": key, "Value": value} for key, value in job.tags.items()]
    return {key: value for key, value in given.items() if value not in ({}, [])}


def base_job_name(name: str) -> str:
    """ASCII letters, digits and hyphens, at most 30 of them so that the SDK's time stamp fits."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
    return plain[:30].strip("-") or "shardyard"


def code(project: Project, image_uri: str) -> str:
    """Code that runs as it stands."""
    module, cls = CLASSES[project.image.framework]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates") / "estimator"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["source"] = source
    given = arguments(project, image_uri)
    return environment.get_template("v2.py.j2").render(
        image_uri=image_uri,
        module=module,
        cls=cls,
        arguments=given,
        asks_for_role=isinstance(given["role"], Expression),
        inputs=project.job.inputs,
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
