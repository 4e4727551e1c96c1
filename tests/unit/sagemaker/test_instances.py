"""A job of several instance types in every hand-off."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shardyard.api.estimator import HandOff, estimator

TOML = """
[image]
name = "model"
[registry]
region = "eu-west-1"
account = "123456789012"
[distribution]
instance_groups = ["trainers"]
[distribution.mpi]
enabled = true
[distribution.smdistributed.modelparallel]
enabled = true
parameters = {partitions = 2}
[job]
role = "arn:aws:iam::123456789012:role/r"
[[job.instance_groups]]
name = "feeders"
instance_type = "ml.c5.xlarge"
[[job.instance_groups]]
name = "trainers"
instance_type = "ml.p4d.24xlarge"
instance_count = 2
"""
GROUPS = [("feeders", "ml.c5.xlarge", 1), ("trainers", "ml.p4d.24xlarge", 2)]


def made(folder: Path, sdk: str) -> HandOff:
    (folder / "shardyard.toml").write_text(TOML)
    done = estimator(folder, sdk=sdk)
    ast.parse(done.code)
    return done


def test_v2_names_the_very_objects(tmp_path: Path) -> None:
    done = made(tmp_path, "v2")
    assert [tuple(one.values()) for one in done.arguments["instance_groups"]] == GROUPS
    assert done.arguments["distribution"]["instance_groups"] == ["trainers"]
    assert "instance_type" not in done.arguments
    assert '"instance_groups": [instance_groups[1]]' in done.code
    assert "instance_groups=instance_groups," in done.code


def test_v3_has_them_in_its_compute(tmp_path: Path) -> None:
    done = made(tmp_path, "v3")
    assert [tuple(one.values()) for one in done.arguments["compute"]["instance_groups"]] == GROUPS
    assert "    InstanceGroup,\n" in done.code


@pytest.mark.parametrize("sdk", ["v3", "boto3"])
def test_the_hyperparameters_are_the_sdk_v2s(tmp_path: Path, sdk: str) -> None:
    arguments = made(tmp_path, sdk).arguments
    values = arguments["hyperparameters" if sdk == "v3" else "HyperParameters"]
    assert values["sagemaker_distribution_instance_groups"] == '["trainers"]'
    assert values["sagemaker_instance_type"] == "null"  # a value like others, not one that is unknown
