"""The hand-off without an SDK: one call of boto3's ``create_training_job``, as code and as keyword arguments."""

from __future__ import annotations

import json
from typing import Any

from shardyard.project.model import Project
from shardyard.sagemaker.hyperparameters import hyperparameters
from shardyard.sagemaker.naming import base_job_name, job_name
from shardyard.sagemaker.open_values import OpenValues, as_json, as_source, is_open, variable
from shardyard.sagemaker.request import needed_role, training_job
from shardyard.sagemaker.source import Expression
from shardyard.sagemaker.templates import render


def code(project: Project, image_uri: str) -> str:
    """Code that runs as it stands, with boto3 alone."""
    given = _open(project, variable("job_name"))
    values = hyperparameters(project, given)
    request = as_source(dict(training_job(project, image_uri, given, {})))
    request["HyperParameters"] = Expression(
        "{key: json.dumps(value) for key, value in hyperparameters.items()}"
    )
    return render(
        "boto3.py.j2",
        image_uri=image_uri,
        region=project.registry.region,
        role=None if "/" in needed_role(project) else project.job.role,
        names_bucket=not project.job.output_path,
        base_job_name=base_job_name(project),
        hyperparameters=as_source(values),
        request=request,
    )


def document(project: Project, image_uri: str) -> dict[str, Any]:
    """The keyword arguments; null stands for what only the account knows."""
    given = _open(project, job_name(project))
    values = hyperparameters(project, given)
    texts = {key: None if is_open(value) else json.dumps(value) for key, value in values.items()}
    request: dict[str, Any] = as_json(dict(training_job(project, image_uri, given, {})))
    return request | {"HyperParameters": texts}


def _open(project: Project, name: str) -> OpenValues:
    role = needed_role(project)
    return OpenValues(
        job_name=name,
        region=project.registry.region or variable("region"),
        role_arn=role if "/" in role else variable("role_arn"),
        output_path=project.job.output_path or f"s3://{variable('bucket')}/",
    )
