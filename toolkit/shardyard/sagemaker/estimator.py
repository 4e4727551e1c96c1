"""The estimator of the SageMaker Python SDK v2, as keyword arguments and as code.

The SDK looks for `entry_point` inside a local `source_dir` and uploads that folder; the image holds the same
code. (An `entry_point` of `/opt/ml/code/...` would have to exist on the machine that runs the SDK.) The path
is relative to the project's folder, so that what is printed here can be committed and runs anywhere.
"""

from __future__ import annotations

import os
from typing import Any

from shardyard.project.model import Project
from shardyard.sagemaker import instances
from shardyard.sagemaker.naming import base_job_name
from shardyard.sagemaker.request import MAX_RUN_S, whole_vpc
from shardyard.sagemaker.sdk_v2 import past_refusals
from shardyard.sagemaker.source import Expression, call
from shardyard.sagemaker.templates import render

CLASSES = {"pytorch": ("sagemaker.pytorch", "PyTorch"), "tensorflow": ("sagemaker.tensorflow", "TensorFlow")}
OPTIONAL = (
    "output_path",
    "checkpoint_s3_uri",
    "checkpoint_local_path",
    "max_run",
    "volume_size",
    "environment",
)


def arguments(project: Project, image_uri: str) -> dict[str, Any]:
    """The keyword arguments of the estimator class; a role that is not configured is the notebook's own."""
    job = project.job
    distribution, moved = past_refusals(project.distribution.as_dict(), instances.types(project))
    given: dict[str, Any] = {
        "entry_point": project.image.entry_point,
        "source_dir": os.path.normpath(os.path.expanduser(project.image.source_dir)),
        "image_uri": image_uri,
        "role": job.role or Expression("sagemaker.get_execution_role()"),
        **instances.arguments(project),
        "distribution": distribution,
        "hyperparameters": dict(job.hyperparameters) | moved,
        "base_job_name": base_job_name(project),
    }
    given |= {name: getattr(job, name) for name in OPTIONAL if getattr(job, name)}
    if job.use_spot_instances:
        given |= {"use_spot_instances": True, "max_wait": job.max_wait or job.max_run or MAX_RUN_S}
    whole_vpc(project)
    if job.subnets:
        given |= {"subnets": job.subnets, "security_group_ids": job.security_group_ids}
    if job.tags:
        given["tags"] = [{"Key": key, "Value": value} for key, value in job.tags.items()]
    return {key: value for key, value in given.items() if value not in ({}, [])}


def code(project: Project, image_uri: str) -> str:
    """Code that runs as it stands."""
    module, cls = CLASSES[project.image.framework]
    given = arguments(project, image_uri)
    groups = given.get("instance_groups", [])
    return render(
        "v2.py.j2",
        groups=[Expression(call("InstanceGroup", group, 4)) for group in groups],
        image_uri=image_uri,
        module=module,
        cls=cls,
        arguments=given | _by_variable(groups, given.get("distribution", {})),
        asks_for_role=isinstance(given["role"], Expression),
        inputs=project.job.inputs,
    )


def _by_variable(groups: list[dict[str, Any]], distribution: dict[str, Any]) -> dict[str, Any]:
    """The SDK wants the very objects of the estimator's argument inside its distribution."""
    if not groups:
        return {}
    order = [group["instance_group_name"] for group in groups]
    chosen = [
        Expression(f"instance_groups[{order.index(name)}]")
        for name in distribution.get("instance_groups", [])
    ]
    there: dict[str, Any] = {"instance_groups": Expression("instance_groups")}
    return there | ({"distribution": distribution | {"instance_groups": chosen}} if chosen else {})


def document(project: Project, image_uri: str) -> dict[str, Any]:
    """`arguments` as JSON; a missing role is null."""
    given = arguments(project, image_uri)
    return {key: None if isinstance(value, Expression) else value for key, value in given.items()}
