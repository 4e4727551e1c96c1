"""What an instance type has."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard.catalog.data_files import read


@dataclass(frozen=True)
class InstanceType:
    name: str
    kind: str
    devices: int
    arch: str | None

    @property
    def gpus(self) -> int:
        return self.devices if self.kind == "gpu" else 0


def names() -> list[str]:
    return list(read("instance_types.json")["instance_types"])


def find(name: str) -> InstanceType | None:
    """The instance type of this name, or None when it is not a known training instance type."""
    row = read("instance_types.json")["instance_types"].get(name)
    return InstanceType(name, row["kind"], row["devices"], row["arch"]) if row else None
