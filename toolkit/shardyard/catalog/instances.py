"""What an instance type has."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard.catalog.data_files import read


@dataclass(frozen=True)
class InstanceType:
    """``efa``: EC2 offers the fabric there; the other two: the training toolkit of the bases sets its flags;
    ``smddp``: the SDK's list for the vendor's data-parallel library names it."""

    name: str
    kind: str
    devices: int
    arch: str | None
    efa: bool = False
    efa_rdma: bool = False
    toolkit_sets_efa: bool = False
    toolkit_sets_rdma: bool = False
    smddp: bool = False
    accelerator: str | None = None
    device_memory_gib: float | None = None
    vcpus: int | None = None
    memory_gib: float | None = None
    link: str | None = None

    @property
    def gpus(self) -> int:
        return self.devices if self.kind == "gpu" else 0

    @property
    def platform(self) -> str | None:
        """The platform that its images must have."""
        return {"x86_64": "linux/amd64", "arm64": "linux/arm64"}.get(self.arch or "")


def names() -> list[str]:
    return list(read("instance_types.json")["instance_types"])


def find(name: str) -> InstanceType | None:
    """The instance type of this name, or None when it is not a known training instance type."""
    row = read("instance_types.json")["instance_types"].get(name)
    if row is None:
        return None
    lists = row.get("in_lists", ())
    return InstanceType(
        name=name,
        kind=row["kind"],
        devices=row["gpu_count"],
        arch=row["arch"],
        efa=bool(row["efa"]),
        efa_rdma=bool(row["efa_rdma_read"]),
        toolkit_sets_efa="toolkit_efa_nccl" in lists,
        toolkit_sets_rdma="toolkit_efa_rdma" in lists,
        smddp="smddp" in lists,
        accelerator=row.get("gpu_model"),
        device_memory_gib=row.get("gpu_memory_gib"),
        vcpus=row["vcpus"],
        memory_gib=row["memory_gib"],
        link=row.get("intra_node_link"),
    )
