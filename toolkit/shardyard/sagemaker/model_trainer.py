"""The ModelTrainer of the SageMaker Python SDK v3, as keyword arguments and as code.

It starts its own script in the container, not the image's `train`; a driver of ours, which travels in the printed
code, hands over to that. (The SDK's own MPI driver starts the ranks of one host only.)
"""

from __future__ import annotations

import os
from typing import Any

from shardyard.project.model import Project
from shardyard.sagemaker import instances
from shardyard.sagemaker.hyperparameters import MODEL_DIR, encoded, hyperparameters
from shardyard.sagemaker.naming import base_job_name
from shardyard.sagemaker.open_values import OpenValues, is_open, variable
from shardyard.sagemaker.request import MAX_RUN_S, VOLUME_GB, whole_vpc
from shardyard.sagemaker.sdk_v3 import refuse
from shardyard.sagemaker.source import Expression, call
from shardyard.sagemaker.templates import render

CODE = "/opt/ml/input/data/code"  # where the SDK's channel puts source_dir
# Which argument is an object of which class; a list holds objects of it.
CLASSES = {
    "source_code": "SourceCode",
    "compute": "Compute",
    "instance_groups": "InstanceGroup",
    "stopping_condition": "StoppingCondition",
    "input_data_config": "InputData",
    "output_data_config": "OutputDataConfig",
    "checkpoint_config": "CheckpointConfig",
    "networking": "Networking",
    "tags": "Tag",
}


def code(project: Project, image_uri: str) -> str:
    """Code that runs as it stands."""
    given = document(project, image_uri)
    del given["hyperparameters"]  # the code encodes them itself
    return render(
        "v3.py.j2",
        image_uri=image_uri,
        classes=sorted({*_classes(given), *_classes(given["compute"])}),
        hyperparameters=_values(project),
        arguments={name: _built(name, value) for name, value in given.items()},
    )


def document(project: Project, image_uri: str) -> dict[str, Any]:
    """The keyword arguments, without the driver; their objects as tables."""
    refuse(project)
    whole_vpc(project)
    job = project.job
    given: dict[str, Any] = {
        "training_image": image_uri,
        "role": job.role,  # none: the SDK takes that of the notebook
        "base_job_name": base_job_name(project),
        "source_code": {
            "source_dir": os.path.normpath(os.path.expanduser(project.image.source_dir)),
            "entry_script": project.image.entry_point,
        },
        "compute": {
            **instances.arguments(project),
            "volume_size_in_gb": job.volume_size or VOLUME_GB,
        },
        "stopping_condition": {"max_runtime_in_seconds": job.max_run or MAX_RUN_S},
        "hyperparameters": encoded(_values(project)),
        "input_data_config": [{"channel_name": name, "data_source": uri} for name, uri in job.inputs.items()],
        "environment": dict(job.environment),
        "tags": [{"key": key, "value": value} for key, value in job.tags.items()],
    }
    if job.use_spot_instances:
        given["compute"]["enable_managed_spot_training"] = True
        given["stopping_condition"]["max_wait_time_in_seconds"] = job.max_wait or job.max_run or MAX_RUN_S
    if job.output_path:
        given["output_data_config"] = {"s3_output_path": job.output_path}
    if job.checkpoint_s3_uri:
        given["checkpoint_config"] = {"s3_uri": job.checkpoint_s3_uri}
        if job.checkpoint_local_path:
            given["checkpoint_config"]["local_path"] = job.checkpoint_local_path
    if job.subnets:
        given["networking"] = {"subnets": job.subnets, "security_group_ids": job.security_group_ids}
    return {name: value for name, value in given.items() if value}


def _values(project: Project) -> dict[str, Any]:
    """Those of the SDK v2, but for what the SDK v3 keeps to itself until it submits: the job's name."""
    region = project.registry.region or variable("region")
    given = OpenValues(variable("job_name"), region, variable("role_arn"), variable("output_path"))
    values = {name: value for name, value in hyperparameters(project, given).items() if not is_open(value)}
    if project.image.framework == "tensorflow":
        values["model_dir"] = MODEL_DIR
    return values | {"sagemaker_submit_directory": CODE}


def _classes(table: dict[str, Any]) -> list[str]:
    return [CLASSES[name] for name in table if name in CLASSES]


def _built(name: str, value: Any, indent: int = 4) -> Any:
    """The value with each of its tables as a call; ``indent``: of the line that the call stands on."""
    cls = CLASSES.get(name)
    if cls is None:
        return value
    if isinstance(value, list):
        return [_built(name, item, indent + 4) for item in value]
    inner = {key: _built(key, item, indent + 4) for key, item in value.items()}
    return Expression(call(cls, inner, indent))
