from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from shardyard.api.estimator import HandOff, estimator
from shardyard.errors import ProjectError
from shardyard.project.load import load
from shardyard.sagemaker.naming import base_job_name, job_name

TOML = """
[image]
name = "team/model"
[registry]
region = "eu-west-1"
account = "123456789012"
[distribution.mpi]
enabled = true
processes_per_host = 8
[distribution.smdistributed.modelparallel]
enabled = true
parameters = {partitions = 2, microbatches = 4, ddp = true}
[job]
instance_type = "ml.p3.16xlarge"
instance_count = 2
hyperparameters = {lr = 0.1, quote = "it's \\"it\\""}
inputs = {train = "s3://bucket/train"}
"""
URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/model:latest"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(TOML)
    (tmp_path / "train.py").write_text("pass")
    return tmp_path


def test_the_code_calls_the_estimator_with_every_argument(project: Path) -> None:
    tree = ast.parse(estimator(project).code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = next(c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "PyTorch")
    given = {k.arg: k.value for k in made.keywords if k.arg}
    assert ast.unparse(given.pop("role")) == "sagemaker.get_execution_role()"
    values = {key: ast.literal_eval(value) for key, value in given.items()}
    assert values == {
        "entry_point": "train.py",
        "source_dir": ".",
        "image_uri": URI,
        "instance_type": "ml.p3.16xlarge",
        "instance_count": 2,
        "distribution": {
            "mpi": {"enabled": True, "processes_per_host": 8},
            "smdistributed": {
                "modelparallel": {
                    "enabled": True,
                    "parameters": {"partitions": 2, "microbatches": 4, "ddp": True},
                }
            },
        },
        "hyperparameters": {"lr": 0.1, "quote": 'it\'s "it"'},
        "base_job_name": "team-model",
    }
    fit = next(c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "fit")
    assert ast.literal_eval(fit.args[0]) == {"train": "s3://bucket/train"}


def test_the_arguments_are_json(project: Path) -> None:
    given = json.loads(json.dumps(estimator(project, image="other:1").arguments))
    assert given["image_uri"] == "other:1"
    assert given["role"] is None


def changed(project: Path, old: str, new: str) -> HandOff:
    (project / "shardyard.toml").write_text(TOML.replace(old, new))
    return estimator(project)


def test_what_is_not_configured_is_not_in_the_code(project: Path) -> None:
    code = changed(project, 'inputs = {train = "s3://bucket/train"}', 'role = "me"').code
    assert code.endswith("\nestimator.fit()\n")
    assert "import sagemaker\n" not in code
    assert "import sagemaker\n" in changed(project, 'role = "me"', "").code


@pytest.mark.parametrize("given", ["src", "./src/", "src/../src"])
def test_paths_stay_relative_to_the_project(project: Path, given: str) -> None:
    made = changed(project, '"team/model"', f'"team/model"\nsource_dir = "{given}"')
    assert made.arguments["source_dir"] == "src"


def test_a_source_dir_elsewhere_stays_where_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    made = changed(project, '"team/model"', '"team/model"\nsource_dir = "~/src"')
    assert made.arguments["source_dir"] == "/somewhere/src"


@pytest.mark.parametrize(
    ("given", "made"), [("Größe 1", "Gr--e-1"), ("ß", "shardyard"), ("a" * 29 + "/b", "a" * 29)]
)
def test_a_job_name_is_what_sagemaker_takes(project: Path, given: str, made: str) -> None:
    changed(project, "instance_count = 2", f'instance_count = 2\nname = "{given}"')
    assert base_job_name(load(project)) == made
    assert re.fullmatch(rf"{made}-\d{{4}}(-\d\d){{5}}-\d{{3}}", job_name(load(project)))


@pytest.mark.parametrize("key", ["subnets", "security_group_ids"])
def test_half_a_vpc_is_refused(project: Path, key: str) -> None:
    with pytest.raises(ProjectError, match="needs both"):
        changed(project, "instance_count = 2", f'instance_count = 2\n{key} = ["one"]')


def test_an_sdk_that_is_none(project: Path) -> None:
    with pytest.raises(ProjectError, match=r"unknown; use one of: v2, v3, boto3") as caught:
        estimator(project, sdk="v4")
    assert caught.value.exit_code == 2
