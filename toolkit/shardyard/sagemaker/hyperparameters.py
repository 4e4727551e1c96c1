"""The hyperparameters of a training job, as the SDK v2 sends them: each value is JSON text."""

from __future__ import annotations

import json
from typing import Any

from shardyard.project.model import Project
from shardyard.sagemaker import instances
from shardyard.sagemaker.naming import instance_type
from shardyard.sagemaker.open_values import OpenValues

CODE = "/opt/ml/code"  # where the image holds the code
LOG_LEVEL = 20
MODEL_DIR = "/opt/ml/model"


def hyperparameters(project: Project, given: OpenValues) -> dict[str, Any]:
    """Not yet JSON; what the training program reads wins over the user's own of the same name."""
    distribution = distributed(project)
    values: dict[str, Any] = dict(project.job.hyperparameters)
    values |= {
        "sagemaker_submit_directory": CODE,
        "sagemaker_program": project.image.entry_point,
        "sagemaker_container_log_level": LOG_LEVEL,
        "sagemaker_job_name": given.job_name,
        "sagemaker_region": given.region,
    }
    values |= distribution
    if project.image.framework == "tensorflow":
        mpi = distribution.get("sagemaker_mpi_enabled")
        values["model_dir"] = MODEL_DIR if mpi else f"{given.output_path.rstrip('/')}/{given.job_name}/model"
    return values


def distributed(project: Project) -> dict[str, Any]:
    """What [distribution] turns into; a table that is not there says nothing, one that is off says so."""
    there = project.distribution.given
    mpi, strategies = project.distribution.mpi, project.distribution.smdistributed
    values: dict[str, Any] = {}
    if names := instances.distribution_groups(project):
        values["sagemaker_distribution_instance_groups"] = names
    if "mpi" in there:
        values["sagemaker_mpi_enabled"] = mpi.enabled
        if mpi.processes_per_host:
            values["sagemaker_mpi_num_of_processes_per_host"] = mpi.processes_per_host
        values["sagemaker_mpi_custom_mpi_options"] = mpi.custom_mpi_options
    if "smdistributed" in there:
        parallel, data = project.distribution.model_parallel, strategies.dataparallel
        if parallel and parallel.parameters:
            values["mp_parameters"] = parallel.parameters
        values["sagemaker_distributed_dataparallel_enabled"] = bool(data and data.enabled)
        values["sagemaker_instance_type"] = None if project.job.instance_groups else instance_type(project)
        if data and data.enabled:
            values["sagemaker_distributed_dataparallel_custom_mpi_options"] = data.custom_mpi_options
    return values


def encoded(values: dict[str, Any]) -> dict[str, str]:
    """As SageMaker takes them: text to text."""
    return {key: json.dumps(value) for key, value in values.items()}
