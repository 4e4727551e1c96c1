"""The files of `/opt/ml/input/config`, as the platform writes them."""

from __future__ import annotations

from typing import Any

from shardyard.local.spec import JobSpec
from shardyard.sagemaker.hyperparameters import encoded

INTERFACE = "eth0"  # of a container on a network of its own


def hyperparameters(job: JobSpec, submit_directory: str) -> dict[str, str]:
    """String to string; every value is JSON, the user's own too."""
    return encoded(dict(job.hyperparameters) | {"sagemaker_submit_directory": submit_directory})


def resource_config(job: JobSpec, host: str, interface: str = INTERFACE) -> dict[str, Any]:
    """The cluster, as seen by one host of it."""
    group = job.group_of(host)
    return {
        "current_host": host,
        "current_instance_type": group.instance_type,
        "current_group_name": group.name,
        "hosts": list(job.host_names),
        "instance_groups": [
            {
                "instance_group_name": one.name,
                "instance_type": one.instance_type,
                "hosts": list(one.hosts),
            }
            for one in job.groups
        ],
        "network_interface_name": interface,
    }


def input_data_config(job: JobSpec) -> dict[str, Any]:
    channel = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    return {name: dict(channel) for name in job.inputs}


def environment(job: JobSpec) -> dict[str, str]:
    """What the platform and the project put into the environment of every host."""
    given = {"TRAINING_JOB_NAME": job.name, "PYTHONUNBUFFERED": "1"}
    if job.region:
        given["AWS_REGION"] = job.region
    return given | dict(job.environment)
