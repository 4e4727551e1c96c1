"""The code that `shardyard estimator` prints, run unchanged by the real SDK v2: the job that SageMaker gets."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shardyard.local.contract import hyperparameters as local_hyperparameters
from shardyard.local.plan import local_job
from shardyard.project.load import load, parse
from shardyard.sagemaker.sdk_v2 import refused
from tests.environments.environment import python
from tests.integration.sagemaker import projects
from tests.integration.sagemaker.aws import BUCKET, client_environment, moto, training_job_requests
from tests.integration.sagemaker.submission import (
    LIMIT,
    LINE,
    LOG_GROUP,
    Clients,
    Submission,
    clients,
    submit,
)

PROJECTS = ("example", "every-option", "past-the-sdk")
ACCOUNT = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@dataclasses.dataclass(frozen=True)
class Submitted:
    folder: Path
    aws: Clients
    by_name: dict[str, Submission]

    def job(self, name: str) -> dict[str, Any]:
        made = self.by_name[name]
        assert made.job is not None, made.output
        return made.job


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitted]:
    interpreter = python("sagemaker-v2")
    folder = tmp_path_factory.mktemp("sagemaker")
    with moto(folder) as endpoint:
        environment = client_environment(endpoint, folder)
        aws = clients(environment)
        aws.logs.create_log_group(logGroupName=LOG_GROUP)
        aws.s3.create_bucket(Bucket=projects.RESULTS)  # the SDK makes its own bucket only
        made = [projects.make(name, folder / name) for name in PROJECTS]
        done = submit(made, interpreter, environment, aws)
        yield Submitted(folder, aws, dict(zip(PROJECTS, done, strict=True)))


def decoded(job: dict[str, Any]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in job["HyperParameters"].items()}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_sdk_submits_and_follows_without_a_warning(submitted: Submitted, name: str) -> None:
    made, job = submitted.by_name[name], submitted.job(name)
    assert made.returncode == 0, made.output
    assert f"{LINE} for {job['TrainingJobName']}" in made.output
    assert not re.search("warn|deprecat|unknown|renamed|removed|error", made.output, re.I), made.output


def test_each_makes_one_job(submitted: Submitted) -> None:
    made = submitted.aws.sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert sorted(one["TrainingJobName"] for one in made) == sorted(
        submitted.job(name)["TrainingJobName"] for name in PROJECTS
    )


@pytest.mark.parametrize("name", PROJECTS)
def test_the_code_that_is_uploaded_is_the_projects(submitted: Submitted, name: str) -> None:
    made, values = submitted.by_name[name], decoded(submitted.job(name))
    project = load(made.project)
    place = values["sagemaker_submit_directory"]
    assert place.startswith(f"s3://{projects.RESULTS if name == 'every-option' else BUCKET}/")
    bucket, key = place.removeprefix("s3://").split("/", 1)
    archive = submitted.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        packed = tar.extractfile(values["sagemaker_program"])
        assert packed is not None
        assert packed.read() == (project.source_dir / project.image.entry_point).read_bytes()


@pytest.mark.parametrize("name", PROJECTS)
def test_the_printed_code_names_no_path_of_this_machine(submitted: Submitted, name: str) -> None:
    made = submitted.by_name[name]
    assert str(made.project.parent) not in made.code
    assert f'source_dir="{"src" if name == "every-option" else "."}"' in made.code


@pytest.mark.parametrize("name", PROJECTS)
def test_a_local_run_gives_the_same_hyperparameters(submitted: Submitted, name: str) -> None:
    job, project = submitted.job(name), load(submitted.by_name[name].project)
    spec = local_job(project)
    local = local_hyperparameters(spec, decoded(job)["sagemaker_submit_directory"])
    assert local.pop("sagemaker_job_name") == json.dumps(spec.name)
    sent = dict(job["HyperParameters"])
    assert sent.pop("sagemaker_job_name") == json.dumps(job["TrainingJobName"])
    if (
        name == "past-the-sdk"
    ):  # what the SDK adds for the block that it was not given; only its owner reads it
        del local["sagemaker_instance_type"], local["sagemaker_distributed_dataparallel_enabled"]
    assert sent == local


def test_the_example(submitted: Submitted) -> None:
    promised = parse(projects.EXAMPLE / "shardyard.toml")
    job = submitted.job("example")
    values = decoded(job)
    mpi, given = promised["distribution"]["mpi"], promised["job"]
    parameters = promised["distribution"]["smdistributed"]["modelparallel"]["parameters"]

    assert re.fullmatch(r"pytorch-digits-[\d-]{23}", job["TrainingJobName"])
    assert job["AlgorithmSpecification"]["TrainingImage"] == f"{ACCOUNT}/pytorch-digits:latest"
    assert parameters["partitions"] == 2
    assert values["mp_parameters"] == parameters
    assert values["sagemaker_mpi_enabled"] is True
    assert values["sagemaker_mpi_num_of_processes_per_host"] == mpi["processes_per_host"] == 2
    assert values["sagemaker_mpi_custom_mpi_options"] == ""
    assert values["sagemaker_program"] == "train.py"
    assert values["epochs"] == given["hyperparameters"]["epochs"]
    assert channels(job) == given["inputs"] == {"training": "s3://my-bucket/digits"}
    assert job["ResourceConfig"]["InstanceType"] == given["instance_type"]
    assert job["ResourceConfig"]["InstanceCount"] == given["instance_count"] == 2
    assert job["RoleArn"] == given["role"]


def test_every_option(submitted: Submitted) -> None:
    promised = parse(submitted.by_name["every-option"].project / "shardyard.toml")
    job, given = submitted.job("every-option"), promised["job"]
    values = decoded(job)

    assert re.fullmatch(r"Gr--e-1-[\d-]{23}", job["TrainingJobName"])
    assert job["AlgorithmSpecification"]["TrainingImage"] == f"{ACCOUNT}/elsewhere:v1"
    assert values["mp_parameters"] == promised["distribution"]["smdistributed"]["modelparallel"]["parameters"]
    assert values["sagemaker_mpi_num_of_processes_per_host"] == 4
    assert values["sagemaker_mpi_custom_mpi_options"] == "-verbose -x NOTE='a b' --NCCL_DEBUG=INFO"
    assert values["sagemaker_program"] == "pkg/fit.py"
    assert {key: values[key] for key in given["hyperparameters"]} == given["hyperparameters"]
    assert channels(job) == given["inputs"]
    assert job["ResourceConfig"] == {
        "InstanceType": "ml.p3.8xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 77,
    }
    assert job["OutputDataConfig"]["S3OutputPath"] == "s3://results/here"
    assert job["CheckpointConfig"] == {"S3Uri": "s3://results/checkpoints", "LocalPath": "/opt/ml/other"}
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert job["EnableManagedSpotTraining"] is True
    assert job["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    request = training_job_requests(submitted.folder)[job["TrainingJobName"]]
    assert request["Environment"] == given["environment"]
    tags = submitted.aws.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == given["tags"]


def test_what_the_sdk_refuses_arrives_all_the_same(submitted: Submitted) -> None:
    job = submitted.job("past-the-sdk")
    values = decoded(job)
    assert values["mp_parameters"] == {
        "pipeline_parallel_degree": 2,
        "default_partition": 0,
        "placement_strategy": "TPD",
        "ddp": True,
    }
    assert values["sagemaker_mpi_enabled"] is True
    assert values["sagemaker_mpi_num_of_processes_per_host"] == 8
    assert job["ResourceConfig"]["InstanceType"] == "ml.p5.48xlarge"
    assert "InputDataConfig" not in job


def test_the_sdk_knows_every_keyword_and_refuses_what_goes_past_it(submitted: Submitted) -> None:
    cases = [
        {"partitions": 2, "default_partition": 1, "placement_strategy": "spread"},
        {"placement_strategy": "cluster", "ddp": True},
        {"placement_strategy": "DPT"},
        {"pipeline_parallel_degree": 2, "default_partition": 0},
    ]
    worker = Path(__file__).with_name("sdk_worker.py")
    command = [str(python("sagemaker-v2")), str(worker), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    sdk = json.loads(done.stdout.splitlines()[-1])
    assert sdk["refused"] == [refused(case) for case in cases] == [False, False, True, True]
    for made in submitted.by_name.values():
        name, given = called_with(made.code)
        assert set(given) <= set(sdk["keywords"][name])


def channels(job: dict[str, Any]) -> dict[str, str]:
    return {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in job["InputDataConfig"]}


def called_with(code: str) -> tuple[str, list[str]]:
    """The estimator class that the code calls, and with which keywords."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and node.keywords]
    (call,) = calls
    assert isinstance(call.func, ast.Name)
    return call.func.id, [str(keyword.arg) for keyword in call.keywords]
