"""The files of `/opt/ml/input/config`, as the platform and the SDK v2 write them."""

from __future__ import annotations

import json
from typing import Any

from shardyard.local.spec import JobSpec

GROUP = "homogeneousCluster"
INTERFACE = "eth0"
LOG_LEVEL = 20


def hyperparameters(job: JobSpec, submit_directory: str) -> dict[str, str]:
    """String to string; every value is JSON, the user's own too."""
    values: dict[str, Any] = dict(job.hyperparameters)
    values |= {
        "sagemaker_submit_directory": submit_directory,
        "sagemaker_program": job.program,
        "sagemaker_container_log_level": LOG_LEVEL,
        "sagemaker_job_name": job.name,
        "sagemaker_region": job.region or "us-east-1",
        "sagemaker_instance_type": job.instance_type,
    }
    if job.mpi_enabled:
        values["sagemaker_mpi_enabled"] = True
        values["sagemaker_mpi_num_of_processes_per_host"] = job.processes_per_host
        values["sagemaker_mpi_custom_mpi_options"] = job.custom_mpi_options
    if job.smdistributed:
        values["sagemaker_distributed_dataparallel_enabled"] = False
    if job.mp_parameters:
        values["mp_parameters"] = job.mp_parameters
    if job.framework == "tensorflow" and job.mpi_enabled:
        values.setdefault("model_dir", "/opt/ml/model")
    return {key: json.dumps(value) for key, value in values.items()}


def resource_config(job: JobSpec, host: str, interface: str = INTERFACE) -> dict[str, Any]:
    hosts = list(job.host_names)
    group = {"instance_group_name": GROUP, "instance_type": job.instance_type, "hosts": hosts}
    return {
        "current_host": host,
        "current_instance_type": job.instance_type,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [group],
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
    return given | job.environment
