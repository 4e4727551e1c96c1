"""Each rule of check, one mistake at a time: what is found, how bad it is, and what to type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shardyard
from shardyard.plan.findings import LOOKOUTS

SOUND = """
[image]
name = "demo"
framework_version = "2.0"
[registry]
region = "us-east-1"
[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 2, ddp = true }
[distribution.mpi]
enabled = true
processes_per_host = 8
[job]
instance_type = "ml.p4d.24xlarge"
instance_count = 2
"""
BLOCK = "distribution.smdistributed"
GIVEN = "distribution.smdistributed.modelparallel.parameters"
MPI = "distribution.mpi.custom_mpi_options"
OF_IMAGE = {"image.runtime": "image"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(SOUND)
    (tmp_path / "train.py").write_text("print('hello')\n")
    return tmp_path


def found(folder: Path, overrides: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{one.level} {one.code}", f"{one.where}: {one.message} | {one.remedy}")
        for one in shardyard.check(folder, overrides=overrides)
    ]


@pytest.mark.parametrize("overrides", [{}, OF_IMAGE])
def test_a_sound_project(folder: Path, overrides: dict[str, Any]) -> None:
    assert found(folder, overrides) == []


@pytest.mark.parametrize(
    ("overrides", "finding", "said"),
    [
        # strategies
        (
            {f"{BLOCK}.dataparallel": {}},
            "error two-strategies",
            "remove [distribution.smdistributed.dataparallel]",
        ),
        ({f"{BLOCK}.modelparallel": {"parameters": {}}}, "error not-enabled", "is not given"),
        (
            {f"{BLOCK}.modelparallel": {"enabled": False, "parameters": {}}},
            "warning not-enabled",
            "enabled = true",
        ),
        ({"distribution.mpi": {"processes_per_host": 8}}, "error no-mpi", "enabled = true"),
        ({"distribution.mpi": {"enabled": True}}, "error no-processes", "processes_per_host"),
        ({GIVEN: {"ddp": True}}, "warning no-partitions", "partitions = 2"),
        # degrees
        ({GIVEN: {"partitions": 3, "ddp": True}}, "error arithmetic", "use 18 processes or 15"),
        ({GIVEN: {"partitions": 2}}, "warning no-ddp", "ddp = true"),
        (
            {GIVEN: {"tensor_parallel_degree": 3, "ddp": True}} | OF_IMAGE,
            "error arithmetic",
            "tensor_parallel_degree 3",
        ),
        (
            {GIVEN: {"sharded_data_parallel_degree": 3, "ddp": True}} | OF_IMAGE,
            "error sharding",
            "use 2 or 4 or 8 or 16",
        ),
        # the instance
        ({"distribution.mpi.processes_per_host": 16}, "error too-many-processes", "processes_per_host = 8"),
        ({"distribution.mpi.processes_per_host": 4}, "warning idle-gpus", "processes_per_host = 8"),
        ({"image.device": "cpu"}, "warning idle-gpus", "8 GPUs"),
        ({"job.instance_type": "ml.p4d.24xlrge"}, "warning instance-type", "ml.p4d.24xlarge"),
        ({"image.platform": "linux/arm64"}, "error platform", "ml.p4d.24xlarge is x86_64"),
        ({"job.instance_type": "ml.p2.8xlarge"}, "error old-gpu", "before 1.13"),
        ({"job.instance_type": "ml.p5.48xlarge"}, "note sdk-instance", "shardyard estimator"),
        (
            {"job.instance_type": "ml.trn1.32xlarge", "image.device": "cpu"},
            "warning sdk-instance",
            "Trainium",
        ),
        ({"job.instance_type": "local_gpu"}, "warning sdk-instance", "shardyard run --hosts 2"),
        # which library
        ({"image.framework_version": "2.1"} | OF_IMAGE, "error no-original", 'runtime = "bundled"'),
        (
            {"image.framework_version": "1.13", "image.device": "cpu"} | OF_IMAGE,
            "error no-original",
            'device = "gpu"',
        ),
        (
            {"image.framework_version": "1.6.0"} | OF_IMAGE,
            "error no-original",
            'base = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:1.6.0-gpu-py36-cu110-ubuntu18.04"',
        ),
        ({"image.framework_version": "1.13"}, "error too-old", 'runtime = "image"'),
        (
            {"image.framework": "tensorflow", "image.framework_version": "2.9.1", GIVEN: {"partitions": 2}},
            "error too-old",
            "carries no smdistributed.modelparallel either",
        ),
        (
            {"image.framework_version": "1.10.0", GIVEN: {"partitions": 2, "ddp": True, "bf16": True}}
            | OF_IMAGE,
            "error library-version",
            "came with 1.11.0",
        ),
        ({"image.base": "x.y/pytorch-training:1.13.1-gpu-py39"}, "error too-old", 'runtime = "image"'),
        ({"image.base": "pytorch-training:2.0.1-cpu-py310"}, "error other-base", 'device = "cpu"'),
        ({"image.base": "pytorch-training:2.1.0-gpu-py310"}, "warning other-base", '"2.1.0"'),
        (
            {"image.base": "x/smdistributed-modelparallel:2.2.0-gpu-py310-cu121"},
            "warning library-2",
            "version 2",
        ),
        # options of mpirun
        ({MPI: "-mca btl_vader_single_copy_mechanism none"} | OF_IMAGE, "error mpi-twice", "gives btl_vader"),
        ({MPI: "--mca a 1 -mca a 1"} | OF_IMAGE, "error mpi-twice", "keep one"),
        ({MPI: "--mca a 1 -mca a 2"}, "warning mpi-twice", "the last one counts"),
        ({MPI: "-x A=1 -x A=2"}, "warning mpi-twice", "'-x A=1' and then '-x A=2'"),
        ({MPI: "-hostfile f"}, "error mpi-option", "sets hosts"),
        ({MPI: "--help"}, "error mpi-option", "start nothing"),
        ({MPI: "-x A='1"}, "error mpi-words", "quotation mark"),
        ({MPI: "python"}, "error mpi-words", "'python' stands where an option should"),
        ({MPI: "-x A='1 2'"} | OF_IMAGE, "warning mpi-quotes", "blanks only"),
        (
            {"job.instance_type": "ml.p5e.48xlarge"} | OF_IMAGE,
            "warning efa-flags",
            "-x FI_PROVIDER=efa -x NCCL_PROTO=simple",
        ),
        # names of the launcher
        ({"job.hyperparameters": {"sagemaker_mpi_enabled": False}}, "warning reserved", "[distribution.mpi]"),
        (
            {"job.environment": {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/code"}},
            "error outside-submit",
            "/opt/ml/code",
        ),
        ({"job.environment": {"SAGEMAKER_PROGRAM": "other.py"}}, "error other-program", "remove it"),
        # the SDK
        ({GIVEN: {"partitions": 2.0, "ddp": True}}, "warning sdk-value", "2.0 works here"),
        (
            {GIVEN: {"default_partition": 0, "pipeline_parallel_degree": 2, "ddp": True}},
            "note sdk-partitions",
            "= 2",
        ),
        ({GIVEN: {"partitions": 2, "ddp_dist_backend": "auto"}}, "warning sdk-ddp", "ddp = true"),
        ({GIVEN: {"partitions": 2, "ddp_port": 1}}, "warning sdk-ddp", "ddp = true"),
    ],
)
def test_each_mistake_alone(folder: Path, overrides: dict[str, Any], finding: str, said: str) -> None:
    every = found(folder, overrides)
    assert [text for code, text in every if code == finding and said in text], every


def test_fabric_flags_only_where_they_are_missing(folder: Path) -> None:
    several = {"job.instance_type": "ml.p5e.48xlarge"} | OF_IMAGE
    flags = "-x FI_PROVIDER=efa -x NCCL_PROTO=simple -x FI_EFA_USE_DEVICE_RDMA=1"
    for overrides in (
        several | {MPI: flags},
        several | {"job.instance_count": 1},
        {**several, "image.runtime": "bundled"},
    ):
        assert not [code for code, _ in found(folder, overrides) if "efa" in code]


def test_the_data_parallel_library(folder: Path) -> None:
    (folder / "shardyard.toml").write_text(
        '[image]\nname = "a"\nbase = "b"\n[distribution.smdistributed.dataparallel]\nenabled = true\n'
    )
    assert found(folder, {"job.instance_type": "ml.p4d.24xlarge"}) == []
    assert found(folder, {"job.instance_type": "ml.g5.48xlarge"})[0][0] == "warning smddp-instance"
    assert found(folder, {"image.device": "cpu"})[0][0] == "error smddp-device"


def test_all_findings_come_at_once_and_errors_first(folder: Path) -> None:
    every = [
        code
        for code, _ in found(
            folder,
            {
                GIVEN: {"partitions": 3},
                "job.instance_type": "ml.p5.48xlarge",
                "image.entry_point": "no.py",
                MPI: "--help",
            },
        )
    ]
    assert {"error arithmetic", "error no-entry-point", "error mpi-option", "note sdk-instance"} <= set(every)
    assert every == sorted(every, key=lambda code: "ewn".index(code[0]))


def test_every_rule_says_what_it_is() -> None:
    assert all(rule.__doc__ for rule in LOOKOUTS)
    assert len(set(LOOKOUTS)) == len(LOOKOUTS)
