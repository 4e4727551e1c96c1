from __future__ import annotations

import json
from pathlib import Path

from shardyard.local import layout
from shardyard.local.spec import JobSpec


def job(tmp_path: Path) -> JobSpec:
    return JobSpec(
        name="j",
        program="train.py",
        source_dir=tmp_path,
        hosts=2,
        processes_per_host=2,
        instance_type="ml.p4d.24xlarge",
        hyperparameters={"lr": 0.1, "note": "it's $HOME"},
        mpi_enabled=True,
        custom_mpi_options="-x A=1",
        smdistributed=True,
        mp_parameters={"partitions": 2, "ddp": True},
        inputs={"train": tmp_path},
    )


def read(base: Path, name: str) -> dict[str, object]:
    return json.loads((base / "input/config" / f"{name}.json").read_text())


def test_the_files_of_a_host(tmp_path: Path) -> None:
    base = tmp_path / "opt/ml"
    layout.write(base, job(tmp_path), "algo-2", "/opt/ml/code")
    sent = read(base, "hyperparameters")
    assert all(isinstance(value, str) for value in sent.values())
    values = {key: json.loads(str(value)) for key, value in sent.items()}
    assert values["sagemaker_program"] == "train.py"
    assert values["sagemaker_mpi_enabled"] is True
    assert values["sagemaker_mpi_num_of_processes_per_host"] == 2
    assert values["sagemaker_mpi_custom_mpi_options"] == "-x A=1"
    assert values["sagemaker_distributed_dataparallel_enabled"] is False
    assert values["mp_parameters"] == {"partitions": 2, "ddp": True}
    assert values["note"] == "it's $HOME"
    resource = read(base, "resourceconfig")
    assert resource["current_host"] == "algo-2"
    assert resource["hosts"] == ["algo-1", "algo-2"]
    assert resource["network_interface_name"] == "eth0"
    assert resource["current_instance_type"] == "ml.p4d.24xlarge"
    assert resource["instance_groups"] == [
        {
            "instance_group_name": "homogeneousCluster",
            "instance_type": "ml.p4d.24xlarge",
            "hosts": ["algo-1", "algo-2"],
        }
    ]
    assert read(base, "inputdataconfig")["train"]["TrainingInputMode"] == "File"  # type: ignore[index]
    for folder in ("model", "output/data", "checkpoints", "input/data"):
        assert (base / folder).is_dir()


def test_code_is_copied_without_the_output_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "out").mkdir(parents=True)
    (source / "__pycache__").mkdir()
    (source / "train.py").write_text("pass")
    spec = JobSpec(**{**vars(job(tmp_path)), "source_dir": source})
    layout.copy_code(tmp_path / "base", spec, (source / "out",))
    assert [path.name for path in (tmp_path / "base/code").iterdir()] == ["train.py"]
