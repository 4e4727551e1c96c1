"""The one builder of a CreateTrainingJob request: of what `launch` submits and of what the printed code submits.

It equals what the SDK v2 sends, but for the differences that tests/integration/sagemaker/differences.py lists.
"""

from __future__ import annotations

from typing import Any, TypedDict

from shardyard.errors import ProjectError
from shardyard.project.model import Project
from shardyard.sagemaker.instances import resources
from shardyard.sagemaker.open_values import OpenValues

MAX_RUN_S = 24 * 3600  # the SDK's defaults
VOLUME_GB = 30


class _Always(TypedDict):
    TrainingJobName: str
    AlgorithmSpecification: dict[str, str]
    HyperParameters: dict[str, str]
    RoleArn: str
    ResourceConfig: dict[str, Any]
    StoppingCondition: dict[str, int]
    OutputDataConfig: dict[str, str]


class TrainingJob(_Always, total=False):
    """The keyword arguments of boto3's ``create_training_job``."""

    InputDataConfig: list[dict[str, Any]]
    Environment: dict[str, str]
    EnableManagedSpotTraining: bool
    CheckpointConfig: dict[str, str]
    VpcConfig: dict[str, list[str]]
    Tags: list[dict[str, str]]


def training_job(
    project: Project, image_uri: str, given: OpenValues, hyperparameters: dict[str, str]
) -> TrainingJob:
    """The whole request. ``hyperparameters`` are those of the module of that name, encoded."""
    job = project.job
    request = TrainingJob(
        TrainingJobName=given.job_name,
        AlgorithmSpecification={"TrainingImage": image_uri, "TrainingInputMode": "File"},
        HyperParameters=hyperparameters,
        RoleArn=given.role_arn,
        ResourceConfig=resources(project) | {"VolumeSizeInGB": job.volume_size or VOLUME_GB},
        StoppingCondition={"MaxRuntimeInSeconds": job.max_run or MAX_RUN_S},
        OutputDataConfig={"S3OutputPath": given.output_path},
    )
    if job.inputs:
        request["InputDataConfig"] = [channel(name, uri) for name, uri in job.inputs.items()]
    if job.environment:
        request["Environment"] = dict(job.environment)
    if job.use_spot_instances:
        request["EnableManagedSpotTraining"] = True
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = job.max_wait or job.max_run or MAX_RUN_S
    if job.checkpoint_s3_uri:
        request["CheckpointConfig"] = {"S3Uri": job.checkpoint_s3_uri}
        if job.checkpoint_local_path:
            request["CheckpointConfig"]["LocalPath"] = job.checkpoint_local_path
    whole_vpc(project)
    if job.subnets:
        request["VpcConfig"] = {"Subnets": job.subnets, "SecurityGroupIds": job.security_group_ids}
    if job.tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in job.tags.items()]
    return request


def channel(name: str, uri: str) -> dict[str, Any]:
    """Every host gets all of it."""
    where = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": where}}


def whole_vpc(project: Project) -> None:
    """Half a VPC would be left out by the SDK, and refused by SageMaker."""
    job = project.job
    if bool(job.subnets) != bool(job.security_group_ids):
        raise ProjectError(
            f"[job] subnets = {job.subnets} and security_group_ids = {job.security_group_ids}: a job inside a "
            "VPC needs both. Add the other to shardyard.toml"
        )


def needed_role(project: Project) -> str:
    """The configured role: outside a notebook nobody else knows one."""
    if not project.job.role:
        raise ProjectError(
            "[job] role is missing: the job needs a role that SageMaker may take. Add to shardyard.toml, under [job]: "
            'role = "arn:aws:iam::<account>:role/<name>"'
        )
    return project.job.role
