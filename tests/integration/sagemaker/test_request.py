"""The job that SageMaker is asked for equals, field by field, the one that the real SDK v2 asks for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import shardyard
from shardyard.project.load import load
from tests.environments.environment import python
from tests.integration.sagemaker import projects, variants
from tests.integration.sagemaker.aws import client_environment, moto, training_job_requests
from tests.integration.sagemaker.differences import LIST, unexplained
from tests.integration.sagemaker.submission import LIMIT, clients

# The name that the SDK gives its own bucket, which it must be told here (see aws.DEFAULTS).
BUCKET = "sagemaker-us-east-1-123456789012"


@dataclass(frozen=True)
class Requests:
    """What CreateTrainingJob was asked for, by project."""

    sdk: dict[str, dict[str, Any]]
    code: dict[str, dict[str, Any]]
    launched: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    folder = tmp_path_factory.mktemp("requests")
    interpreter = python("sagemaker-v2")
    made = {name: variants.make(name, folder / name) for name in variants.NAMES}
    with moto(folder) as endpoint, pytest.MonkeyPatch.context() as patch:
        environment = client_environment(endpoint, folder, BUCKET)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        aws = clients(environment)
        aws.s3.create_bucket(Bucket=projects.RESULTS)
        aws.iam.create_role(RoleName=variants.ROLE_NAME, AssumeRolePolicyDocument="{}")
        sdk = _fit(made, interpreter, environment)
        code = {name: _run(shardyard.estimator(project, sdk="boto3").code) for name, project in made.items()}
        launched = {name: _launch(name, made[name], aws.ecr) for name in variants.LAUNCHED}
        asked = training_job_requests(folder)
        yield Requests(
            *({name: asked[job] for name, job in names.items()} for names in (sdk, code, launched))
        )


def _fit(made: dict[str, Path], interpreter: Path, environment: dict[str, str]) -> dict[str, str]:
    codes = {str(project): shardyard.estimator(project).code for project in made.values()}
    done = subprocess.run(
        [str(interpreter), str(Path(__file__).with_name("fit_worker.py"))],
        input=json.dumps(codes),
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout.splitlines()[-1])
    return {name: jobs[str(project)] for name, project in made.items()}


def _run(code: str) -> str:
    names: dict[str, Any] = {}
    exec(code, names)
    return str(names["job_name"])


def _launch(name: str, project: Path, ecr: Any) -> str:
    """As a user does: what [registry] names has been pushed."""
    registry = load(project).registry
    repository = registry.repository
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": f"sha256:{name}", "size": 1},
        "layers": [],
    }
    ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=registry.tag)
    return shardyard.launch(project).job_name


@pytest.mark.parametrize("name", variants.LAUNCHED)
def test_launch_asks_for_the_same_job(requests: Requests, name: str) -> None:
    assert unexplained(name, requests.sdk[name], requests.launched[name]) == []


@pytest.mark.parametrize("name", variants.NAMES)
def test_the_printed_boto3_code_asks_for_the_same_job(requests: Requests, name: str) -> None:
    assert unexplained(name, requests.sdk[name], requests.code[name]) == []


def test_there_are_twelve_over_both_frameworks(requests: Requests) -> None:
    assert len(requests.launched) >= 12
    frameworks = {"model_dir" in sent["HyperParameters"] for sent in requests.launched.values()}
    assert frameworks == {True, False}  # the SDK gives a model_dir to TensorFlow's


def test_every_listed_difference_is_there(requests: Requests) -> None:
    """What stops to differ leaves the list."""
    for one in LIST:
        seen = one.projects or variants.LAUNCHED
        assert any(
            _value(requests.sdk[n], one.field) != _value(requests.launched[n], one.field) for n in seen
        )


def _value(request: dict[str, Any], field: str) -> Any:
    section, _, key = field.partition(".")
    return request.get(section, {}).get(key) if key else request.get(section)


def test_a_difference_that_is_not_listed_is_found(requests: Requests) -> None:
    sdk, ours = requests.sdk["example"], requests.code["example"]
    changed = {**ours, "HyperParameters": {**ours["HyperParameters"], "epochs": '"8"'}, "Tags": []}
    found = unexplained("example", sdk, changed)
    assert [line.partition(":")[0] for line in found] == ["HyperParameters.epochs", "Tags"]
