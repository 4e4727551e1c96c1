"""The fast network of this host, and the variables that make the libraries use it."""

from __future__ import annotations

import json
from pathlib import Path

INFINIBAND = Path("/sys/class/infiniband")


def fabric_variables(instance_type: str, root: Path = INFINIBAND) -> dict[str, str]:
    """For NCCL and libfabric, from the devices present; where there is no /sys, from the instance type."""
    table = json.loads(Path(__file__).with_name("fabrics.json").read_text("utf-8"))
    if root.parent.is_dir():
        devices = [_device_id(entry) for entry in _efa(root)]
        efa, rdma = bool(devices), any(found not in table["efa_without_rdma"] for found in devices)
    else:
        efa, rdma = instance_type in table["efa"], bool(table["efa"].get(instance_type))
    variables: dict[str, str] = {}
    if efa:
        variables |= {"FI_PROVIDER": "efa", "NCCL_PROTO": "simple"}
    if rdma:
        # Registered memory must survive the fork of a data loader's worker.
        variables |= {"FI_EFA_USE_DEVICE_RDMA": "1", "RDMAV_FORK_SAFE": "1", "FI_EFA_FORK_SAFE": "1"}
    return variables


def _efa(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [entry for entry in sorted(root.iterdir()) if _driver(entry) == "efa"]


def _driver(entry: Path) -> str:
    link = entry / "device" / "driver"
    return link.resolve().name if link.exists() else entry.name.partition("_")[0]


def _device_id(entry: Path) -> str:
    try:
        return (entry / "device" / "device").read_text("ascii").strip()
    except OSError:
        return ""
