from __future__ import annotations

from pathlib import Path

import pytest

from shardyard.errors import ProjectError
from shardyard.local.channels import channels
from shardyard.local.plan import limit, local_job
from shardyard.local.spec import TimeLimit
from tests.unit.local.jobs import project


def test_the_limit_that_comes_first(tmp_path: Path) -> None:
    assert limit(None, None) is None
    short, long = limit(5, 60), limit(600.0, 60)
    assert short == TimeLimit(5, "timeout", 10)
    assert long == TimeLimit(60, "max_run", 120)


def test_processes_and_options_are_those_of_run(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
        [distribution.mpi]
        enabled = true
        processes_per_host = 8
        custom_mpi_options = "-x A=1"
        [distribution.smdistributed.modelparallel]
        enabled = true
        parameters = {partitions = 2}
        [job]
        instance_type = "ml.c5.xlarge"
        max_run = 60
        checkpoint_local_path = "/opt/ml/other"
        [run]
        hosts = 3
        processes_per_host = 2
        shm_size = "2g"
        ulimits = {memlock = -1}
        checkpoints = "kept"
        """,
    )
    job = local_job(made)
    assert job.host_names == ("algo-1", "algo-2", "algo-3")
    assert job.hyperparameters["sagemaker_mpi_num_of_processes_per_host"] == 2
    assert job.hyperparameters["sagemaker_mpi_custom_mpi_options"] == "-x A=1"
    assert job.hyperparameters["sagemaker_instance_type"] == "ml.c5.xlarge"
    assert job.hyperparameters["mp_parameters"] == {"partitions": 2}
    assert job.limit == TimeLimit(60, "max_run", 120)
    assert (job.checkpoints, str(job.checkpoint_path)) == (tmp_path / "kept", "/opt/ml/other")
    assert (job.container.shm_size, job.container.ulimits) == (2 << 30, {"memlock": -1})


def test_without_mpi_none_is_asked_for(tmp_path: Path) -> None:
    values = local_job(project(tmp_path, "[run]\nprocesses_per_host = 2")).hyperparameters
    assert not [name for name in values if "mpi" in name]
    tensorflow = project(tmp_path, "", 'device = "cpu"\nframework = "tensorflow"')
    assert local_job(tensorflow).hyperparameters["model_dir"] == "/opt/ml/model"


def test_gpus_that_are_there_and_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    mpi = "[distribution.mpi]\nenabled = true\n[run]\nhosts = 2\nprocesses_per_host = 2\n"
    assert local_job(project(tmp_path, mpi, "")).gpus == {"algo-1": ("0", "1"), "algo-2": ("2", "3")}
    some = local_job(project(tmp_path, mpi + 'gpus = ["7", "8"]', "")).gpus
    assert some == {"algo-1": ("7", "8"), "algo-2": ("7", "8")}
    assert local_job(project(tmp_path, mpi + "gpus = []", "")).gpus == {"algo-1": (), "algo-2": ()}
    assert local_job(project(tmp_path, mpi, 'device = "cpu"')).gpus == {}


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('[run]\nshm_size = "1g"\nipc = "host"', "Remove one"),
        ('[job]\ncheckpoint_local_path = "/"', "no folder of its own"),
        ('[job]\ncheckpoint_local_path = "relative/x"', "no folder of its own"),
        ('[run]\nshm_size = "much"', r'shm_size = "8g"'),
        ('[run]\npull = "daily"', "'always', 'missing' or 'never'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, section: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        local_job(project(tmp_path, section))


def test_channels_are_paths_or_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "with space").mkdir()
    made = project(tmp_path / "p", '[run]\ninputs = {"a.b" = "s3://bucket/x", here = "."}')
    found = channels(made, {"c-d_": "with space", "e": f"file://{tmp_path}/with%20space"})
    assert found == {
        "a.b": "s3://bucket/x",
        "here": tmp_path / "p",
        "c-d_": tmp_path / "with space",
        "e": tmp_path / "with space",
    }


def test_all_that_is_wrong_with_channels_is_said(tmp_path: Path) -> None:
    made = project(tmp_path, "")
    wrong = {"..": ".", "a/b": ".", "x" * 65: ".", "gone": "nowhere", "far": "s3:///x", "null": "a\0b"}
    with pytest.raises(ProjectError) as raised:
        channels(made, wrong)
    assert len(raised.value.findings) == 6
    assert {one.where.rpartition(".")[2] for one in raised.value.findings} >= {"gone", "far", "null"}
