"""Which rank, on which host and device, holds which partition of which replica."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shardyard.errors import ProjectError
from shardyard.plan.groups import Membership
from shardyard.plan.parameters import WHERE, read
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameters import ParameterError, SmpConfig, placement_for
from shardyard_runtime.config.placement import Placement

MOST_RANKS = 65536


@dataclass(frozen=True)
class Seat:
    rank: int
    host: int
    device: int
    partition: int
    tensor: int
    replica: int


@dataclass(frozen=True)
class Layout:
    """All seats in the order of the global ranks."""

    hosts: int
    processes_per_host: int
    placement: Placement
    config: SmpConfig
    seats: tuple[Seat, ...]
    model: dict[str, Any] | None = None  # which partition owns which module, where a model was named
    chosen: Membership | None = None  # the rank whose groups are asked for

    def as_dict(self) -> dict[str, Any]:
        return {
            "hosts": self.hosts,
            "processes_per_host": self.processes_per_host,
            "size": self.placement.size,
            "placement_strategy": self.config.placement_strategy,
            "order": self.placement.order,
            "pipeline_parallel_degree": self.placement.pp_size,
            "tensor_parallel_degree": self.placement.tp_size,
            "reduced_data_parallel_degree": self.placement.rdp_size,
            "microbatches": self.config.microbatches,
            "ranks": [asdict(seat) for seat in self.seats],
            **({} if self.chosen is None else {"chosen": self.chosen.as_dict()}),
            **({} if self.model is None else {"model": self.model}),
        }


def layout(project: Project) -> Layout:
    """Raises ProjectError where the parameters are wrong or do not fit the processes."""
    hosts = project.job.instance_count
    mpi = project.distribution.mpi
    each = (mpi.processes_per_host or 1) if mpi.enabled else 1
    try:
        config, found = read(project)
        if config is None:
            raise ParameterError(found)
        placement = placement_for(config, hosts * each)
    except ParameterError as error:
        findings = [
            Finding("error", "parameter", f"{WHERE}.{one.name}", one.message, one.remedy)
            for one in error.findings
            if one.level == "error"
        ]
        raise ProjectError("there is nothing to draw", findings) from error
    if placement.size > MOST_RANKS:
        text = f"{placement.size} ranks are more than can be drawn"
        remedy = f"processes_per_host × instance_count may be up to {MOST_RANKS}"
        where = "distribution.mpi.processes_per_host"
        raise ProjectError(
            "there is nothing to draw", [Finding("error", "too-many-ranks", where, text, remedy)]
        )
    seats = []
    for rank in range(placement.size):
        at = placement.coordinates(rank)
        seats.append(Seat(rank, rank // each, rank % each, at["P"], at["T"], at["D"]))
    return Layout(hosts, each, placement, config, tuple(seats))
