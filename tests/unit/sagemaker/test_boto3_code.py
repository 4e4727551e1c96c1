from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from shardyard.api.estimator import HandOff, estimator
from shardyard.errors import ProjectError

TOML = """
[image]
name = "model"
framework = "{framework}"
[registry]
{region}
account = "123456789012"
[job]
instance_type = "ml.c5.xlarge"
{job}
"""
ARN = 'role = "arn:aws:iam::123456789012:role/r"'
REGION = 'region = "eu-west-1"'


def made(
    folder: Path, job: str = ARN, region: str = REGION, framework: str = "pytorch", **more: Any
) -> HandOff:
    (folder / "shardyard.toml").write_text(TOML.format(job=job, region=region, framework=framework))
    return estimator(folder, sdk="boto3", **more)


def call(code: str) -> dict[str, ast.expr]:
    calls = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".create_training_job")
    ]
    (one,) = calls
    return {str(keyword.arg): keyword.value for keyword in one.keywords}


def test_one_call_with_the_documents_keywords(tmp_path: Path) -> None:
    done = made(tmp_path)
    given = call(done.code)
    assert set(given) == set(done.arguments)
    assert ast.literal_eval(given["ResourceConfig"]) == done.arguments["ResourceConfig"]
    assert json.loads(json.dumps(done.arguments)) == done.arguments


def test_what_only_the_account_knows_is_asked_there_and_null_in_json(tmp_path: Path) -> None:
    done = made(tmp_path, job='role = "ByName"', framework="tensorflow")
    assert "get_role" in done.code
    assert ast.unparse(call(done.code)["RoleArn"]) == "role_arn"
    assert done.arguments["RoleArn"] is None
    assert done.arguments["OutputDataConfig"] == {"S3OutputPath": None}
    assert done.arguments["HyperParameters"]["model_dir"] is None
    known = made(tmp_path, job=f'{ARN}\noutput_path = "s3://b/{{x}}/"', framework="tensorflow")
    assert "get_role" not in known.code
    assert "sts" not in known.code
    name = known.arguments["TrainingJobName"]
    assert known.arguments["HyperParameters"]["model_dir"] == f'"s3://b/{{x}}/{name}/model"'
    assert '"model_dir": f"s3://b/{{x}}/{job_name}/model"' in known.code


def test_the_region_of_the_session_without_one_of_the_registry(tmp_path: Path) -> None:
    done = made(tmp_path, region="", image="any:1")
    assert "region = session.region_name" in done.code
    assert '"sagemaker_region": region,' in done.code
    assert done.arguments["HyperParameters"]["sagemaker_region"] is None


def test_a_missing_role_is_the_projects_fault(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"\[job\] role is missing"):
        made(tmp_path, job="")


def test_half_a_vpc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="needs both"):
        made(tmp_path, job=f'{ARN}\nsubnets = ["one"]')
