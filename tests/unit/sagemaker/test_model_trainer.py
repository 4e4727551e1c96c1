from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from shardyard.api.estimator import HandOff, estimator
from shardyard.errors import ProjectError

TOML = """
[image]
name = "model"
framework = "{framework}"
[registry]
region = "eu-west-1"
account = "123456789012"
[job]
instance_type = "ml.c5.xlarge"
{job}
"""


def made(folder: Path, job: str = "", framework: str = "pytorch") -> HandOff:
    (folder / "shardyard.toml").write_text(TOML.format(job=job, framework=framework))
    return estimator(folder, sdk="v3")


def test_the_code_is_python_with_the_documents_arguments(tmp_path: Path) -> None:
    done = made(tmp_path, 'checkpoint_s3_uri = "s3://b/c"\nuse_spot_instances = true')
    calls = [node for node in ast.walk(ast.parse(done.code)) if isinstance(node, ast.Call)]
    (trainer,) = (one for one in calls if ast.unparse(one.func) == "ModelTrainer")
    given = {str(one.arg): one.value for one in trainer.keywords}
    assert set(given) == {*done.arguments, "distributed"}
    compute = given["compute"]
    assert isinstance(compute, ast.Call)
    assert {one.arg: ast.literal_eval(one.value) for one in compute.keywords} == done.arguments["compute"]
    assert json.loads(json.dumps(done.arguments)) == done.arguments


def test_what_the_job_does_not_say_is_left_to_the_sdk(tmp_path: Path) -> None:
    assert set(made(tmp_path).arguments) == {
        "training_image",
        "base_job_name",
        "source_code",
        "compute",
        "stopping_condition",
        "hyperparameters",
    }


def test_tensorflow_without_mpi_has_a_model_dir_although_the_jobs_name_is_open(tmp_path: Path) -> None:
    values = made(tmp_path, framework="tensorflow").arguments["hyperparameters"]
    assert values["model_dir"] == '"/opt/ml/model"'
    assert "sagemaker_job_name" not in values


@pytest.mark.parametrize(
    "job",
    [
        'hyperparameters = {note = "it\'s"}',
        'hyperparameters = {nested = {deep = ["\'"]}}',
        'hyperparameters = {"odd key" = 1}',
        'inputs = {"a-b" = "s3://x"}',
        'inputs = {train = "s3://x/it\'s"}',
    ],
)
def test_what_would_end_the_job_before_its_script_starts_is_refused(tmp_path: Path, job: str) -> None:
    with pytest.raises(ProjectError, match="sdk-v3") as caught:
        made(tmp_path, job)
    assert "--sdk boto3" in str(caught.value)


def test_names_that_the_sdk_rewrites_are_taken(tmp_path: Path) -> None:
    assert "learning-rate" in made(tmp_path, 'hyperparameters = {"learning-rate" = 1}').code
