"""Submits a job, with the request that the printed boto3 code would send."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard.project.model import Project
from shardyard.sagemaker.account import Account, asking
from shardyard.sagemaker.hyperparameters import encoded, hyperparameters
from shardyard.sagemaker.naming import job_name
from shardyard.sagemaker.open_values import OpenValues
from shardyard.sagemaker.request import training_job, whole_vpc


@dataclass(frozen=True)
class Submitted:
    name: str
    arn: str
    image_uri: str


def submit(project: Project, image_uri: str, account: Account) -> Submitted:
    """Creates the training job."""
    whole_vpc(project)  # known before anything is made
    given = OpenValues(
        job_name=job_name(project),
        region=account.region,
        role_arn=account.role_arn(project),
        output_path=account.output_path(project),
    )
    request = training_job(project, image_uri, given, encoded(hyperparameters(project, given)))
    with asking(f"start the training job {given.job_name!r}"):
        made = account.sagemaker.create_training_job(**request)
    return Submitted(given.job_name, made["TrainingJobArn"], image_uri)
