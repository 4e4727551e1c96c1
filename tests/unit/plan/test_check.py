"""Findings of check, and the layout of plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shardyard
from shardyard.plan.text import draw

BASE = """
[image]
name = "demo"
base = "demo-base"
device = "cpu"
[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 2, ddp = true }
[distribution.mpi]
enabled = true
processes_per_host = 4
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(BASE)
    (tmp_path / "train.py").write_text("print('hello')\n")
    return tmp_path


def codes(folder: Path, **overrides: Any) -> dict[str, str]:
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    found = shardyard.check(folder, overrides=dotted)
    return {one.code: f"{one.level} {one.where} {one.message} {one.remedy}" for one in found}


PARAMETERS = "distribution__smdistributed__modelparallel__parameters"


def test_a_sound_project_has_no_findings(folder: Path) -> None:
    assert codes(folder) == {}


def test_arithmetic_spells_out_every_factor(folder: Path) -> None:
    found = codes(folder, **{PARAMETERS: {"partitions": 3, "ddp": True}, "job__instance_count": 2})
    for word in (
        "processes_per_host 4 × instance_count 2 = 8",
        "pipeline_parallel_degree 3",
        "use 9 processes or 6",
    ):
        assert word in found["arithmetic"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"distribution__mpi__enabled": False}, "no-mpi"),
        ({PARAMETERS: {"ddp": True}}, "no-partitions"),
        ({PARAMETERS: {"partitions": 2}}, "no-ddp"),
        ({PARAMETERS: {"partitions": 2, "shard_optimizer_state": True}}, "parameter"),
        ({"distribution__smdistributed__dataparallel": {"enabled": False}}, "two-strategies"),
        ({"image__entry_point": "missing.py"}, "no-entry-point"),
        ({"image__entry_point": "../train.py"}, "outside"),
        ({"image__requirements": "no.txt"}, "no-file"),
        ({"image__base": ""}, "wrong-value"),
        ({"image__device": "gpu", "job__instance_type": "ml.m5.large"}, "no-gpu"),
        ({"image__device": "gpu", "job__instance_type": "ml.g4dn.xlarge"}, "too-many-processes"),
        ({"image__device": "gpu", "job__instance_type": "ml.p4d.24xlarge"}, "idle-gpus"),
        ({"job__instance_type": "ml.p4d.24xlrge"}, "instance-type"),
        ({"image__env": {"HF_TOKEN": "x"}}, "secret"),
        ({"image__env": {"INDEX": "https://me:word@index/simple"}}, "credential"),
        ({"image__build_args": {"INDEX": "https://me:word@index/simple"}}, "credential"),
        ({"image__run": ["true", "curl https://me:word@host/file"]}, "credential"),
    ],
)
def test_each_mistake_is_found(folder: Path, change: dict[str, Any], code: str) -> None:
    assert code in codes(folder, **change)


@pytest.mark.parametrize(
    ("order", "remedy"),
    [("PDT", '"spread"'), ("DTP", '"cluster"'), ("TPD", '"spread"'), ("DPT", '"cluster"')],
)
def test_orders_that_the_sdk_refuses_are_named(folder: Path, order: str, remedy: str) -> None:
    """The SDK v2 lets only the two names pass; with no tensor parallelism each order is one of them."""
    given = {"partitions": 2, "ddp": True, "placement_strategy": order}
    found = codes(folder, **{PARAMETERS: given})["sdk-placement"]
    assert found.startswith("note ")
    assert repr(order) in found
    assert remedy in found
    assert codes(folder, **{PARAMETERS: given | {"placement_strategy": "spread"}}) == {}


def test_the_library_of_the_base_may_have_what_ours_has_not(folder: Path) -> None:
    given = {"partitions": 2, "ddp": True, "shard_optimizer_state": True}
    assert codes(folder, **{PARAMETERS: given, "image__runtime": "image"}) == {}
    assert "parameter" in codes(folder, **{PARAMETERS: given | {"fp17": True}, "image__runtime": "image"})


def test_credentials_and_local_paths_in_requirements(folder: Path) -> None:
    (folder / "r.txt").write_text("numpy\n--extra-index-url https://me:word@example.com/simple\n-e .\n")
    found = codes(folder, image__requirements="r.txt")
    assert {"credential", "local-requirement"} <= found.keys()
    assert "word" not in found["credential"].replace("password", "")


def test_bases_that_can_run_nothing_are_named(tmp_path: Path) -> None:
    text = BASE.replace('base = "demo-base"', 'framework = "tensorflow"\nframework_version = "2.9.1"')
    (tmp_path / "shardyard.toml").write_text(text + '[registry]\nregion = "us-east-1"\n')
    (tmp_path / "train.py").write_text("")
    assert "choose a newer" in codes(tmp_path)["too-old"]
    assert "no-original" in codes(tmp_path, image__runtime="image")


def test_the_layout_follows_the_placement(folder: Path) -> None:
    plan = shardyard.plan(folder, overrides={"job.instance_count": 2})
    assert [seat.partition for seat in plan.seats] == [0, 1] * 4
    assert [seat.host for seat in plan.seats] == [0] * 4 + [1] * 4
    spread = {"partitions": 2, "placement_strategy": "spread"}
    plan = shardyard.plan(folder, overrides={"distribution.smdistributed.modelparallel.parameters": spread})
    assert [seat.partition for seat in plan.seats] == [0, 0, 1, 1]
    assert "device 3  rank 3  ·█  partition 1  replica 1" in draw(plan)


def test_a_layout_that_does_not_fit_is_refused(folder: Path) -> None:
    with pytest.raises(shardyard.ProjectError, match="does not divide 4 processes"):
        shardyard.plan(
            folder, overrides={"distribution.smdistributed.modelparallel.parameters": {"partitions": 3}}
        )


def test_an_old_base_is_sent_to_its_own_library(tmp_path: Path) -> None:
    text = BASE.replace('base = "demo-base"\ndevice = "cpu"', 'framework_version = "1.13.1"')
    (tmp_path / "shardyard.toml").write_text(text + '[registry]\nregion = "us-east-1"\n')
    (tmp_path / "train.py").write_text("")
    assert 'runtime = "image"' in codes(tmp_path)["too-old"]
    assert codes(tmp_path, image__runtime="image") == {}


@pytest.mark.parametrize(
    "line",
    [
        "git clone ssh://git@host/x",
        "curl https://me:$(cat /run/secrets/word)@host/x",
        "curl http://host:80/a@b",
    ],
)
def test_an_address_without_a_password_is_none(folder: Path, line: str) -> None:
    assert "credential" not in codes(folder, image__run=[line])
