from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from shardyard.local import contract, layout
from shardyard.local.spec import InstanceGroup
from tests.unit.local.jobs import job


def read(base: Path, name: str) -> dict[str, object]:
    return json.loads((base / "input/config" / f"{name}.json").read_text())


def test_the_files_of_a_host(tmp_path: Path) -> None:
    base = tmp_path / "opt/ml"
    layout.write(base, job(tmp_path, inputs={"train": tmp_path}), "algo-2", "/opt/ml/code")
    sent = read(base, "hyperparameters")
    assert sent == {"lr": "0.1", "note": '"it\'s $HOME"', "sagemaker_submit_directory": '"/opt/ml/code"'}
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
    for folder in ("model", "output/data", "input/data"):
        assert (base / folder).is_dir()


def test_groups_of_different_instances(tmp_path: Path) -> None:
    groups = (
        InstanceGroup("gpu", "ml.g5.xlarge", ("algo-1",)),
        InstanceGroup("cpu", "ml.c5.xlarge", ("algo-2",)),
    )
    resource = contract.resource_config(job(tmp_path, groups=groups), "algo-2")
    assert (resource["current_group_name"], resource["current_instance_type"]) == ("cpu", "ml.c5.xlarge")
    assert [one["hosts"] for one in resource["instance_groups"]] == [["algo-1"], ["algo-2"]]


def test_a_file_is_alone_in_its_channel(tmp_path: Path) -> None:
    file = tmp_path / "a:b.csv"
    file.touch()
    inputs = {"-x.y_": tmp_path, "one": file}
    assert layout.places(job(tmp_path, inputs=inputs)) == {
        PurePosixPath("/opt/ml/input/data/-x.y_"): tmp_path,
        PurePosixPath("/opt/ml/input/data/one/a:b.csv"): file,
    }


def test_code_is_copied_without_the_output_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "out").mkdir(parents=True)
    (source / "__pycache__").mkdir()
    (source / "train.py").write_text("pass")
    layout.copy_code(tmp_path / "base", job(source), (source / "out",))
    assert [path.name for path in (tmp_path / "base/code").iterdir()] == ["train.py"]
