from __future__ import annotations

from pathlib import Path

import pytest

from shardyard_runtime.launch.devices import fabric_variables

RDMA = {"FI_EFA_USE_DEVICE_RDMA": "1", "RDMAV_FORK_SAFE": "1", "FI_EFA_FORK_SAFE": "1"}
EFA = {"FI_PROVIDER": "efa", "NCCL_PROTO": "simple"}


def device(root: Path, name: str, driver: str, identity: str) -> None:
    folder = root / name / "device"
    folder.mkdir(parents=True)
    (folder / "device").write_text(f"{identity}\n")
    target = root.parent / "drivers" / driver
    target.mkdir(parents=True, exist_ok=True)
    (folder / "driver").symlink_to(target)


@pytest.mark.parametrize(
    ("driver", "identity", "expected"),
    [
        ("efa", "0xefa0", EFA),
        ("efa", "0xefa1", EFA | RDMA),
        ("efa", "0xefa3", EFA | RDMA),
        ("mlx5_core", "0x1017", {}),
    ],
)
def test_devices_decide(tmp_path: Path, driver: str, identity: str, expected: dict[str, str]) -> None:
    root = tmp_path / "infiniband"
    device(root, "rdmap16s27", driver, identity)
    assert fabric_variables("ml.p4d.24xlarge", root) == expected


def test_no_device_no_flag_whatever_the_type(tmp_path: Path) -> None:
    assert fabric_variables("ml.p4d.24xlarge", tmp_path / "infiniband") == {}


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("ml.p4d.24xlarge", EFA | RDMA),
        ("ml.g5.48xlarge", EFA),
        ("ml.p5en.48xlarge", EFA | RDMA),
        ("local", {}),
    ],
)
def test_the_table_serves_where_nothing_can_be_seen(
    tmp_path: Path, instance_type: str, expected: dict[str, str]
) -> None:
    assert fabric_variables(instance_type, tmp_path / "no-sys" / "infiniband") == expected
