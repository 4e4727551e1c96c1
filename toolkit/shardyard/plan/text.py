"""The layout as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shardyard.plan import schedules
from shardyard.plan.groups import PURPOSE, Membership
from shardyard.plan.layout import Layout, Seat

_WIDEST_BAR = 32  # partitions; beyond it the number says enough


def summary(plan: Layout) -> list[str]:
    """The arithmetic, and how the batch flows."""
    place = plan.placement
    return [
        f"{_many(place.size, 'rank')} = {_many(plan.hosts, 'host')} × "
        f"{_many(plan.processes_per_host, 'process', 'es')} = {place.pp_size} pipeline × {place.tp_size} tensor × "
        f"{_many(place.rdp_size, 'replica')}, {plan.config.placement_strategy} ({place.order})",
        f"{_many(plan.config.microbatches, 'microbatch', 'es')}, {plan.config.active_microbatches} in flight at "
        f"most, {plan.config.pipeline} pipeline",
    ]


def draw(plan: Layout) -> str:
    """A block a host, a line a device; the groups of a chosen rank are named, and marked on each line."""
    lines, of_rank = summary(plan), plan.chosen
    each = plan.processes_per_host
    for host in range(plan.hosts):
        lines += [
            "",
            f"algo-{host + 1}",
            *_devices(plan, plan.seats[host * each : (host + 1) * each], of_rank),
        ]
    if of_rank is not None:
        lines += ["", *_groups(of_rank)]
    if plan.model is not None:
        lines += ["", plan.model["table"]]
        if "predictions" in plan.model:
            lines += ["", *schedules.table(plan.model["predictions"])]
    return "\n".join(lines)


def _devices(plan: Layout, seats: Sequence[Seat], of_rank: Membership | None) -> Iterator[str]:
    place = plan.placement
    width = len(str(place.size - 1))
    deepest = len(str(plan.processes_per_host - 1))
    for seat in seats:
        bar = ""
        if place.pp_size <= _WIDEST_BAR:
            bar = "".join("█" if part == seat.partition else "·" for part in range(place.pp_size)) + "  "
        tensor = f"  tensor {seat.tensor}" if place.tp_size > 1 else ""
        mark = f"   {_mark(seat.rank, of_rank)}" if of_rank else ""
        yield (
            f"  device {seat.device:>{deepest}}  rank {seat.rank:>{width}}  {bar}"
            f"partition {seat.partition}{tensor}  replica {seat.replica}{mark}"
        ).rstrip()


def _mark(rank: int, of_rank: Membership) -> str:
    shared = " ".join(kind.value for kind in of_rank.kinds_of(rank))
    return f"◀ {shared}" if rank == of_rank.rank else shared


def _groups(of_rank: Membership) -> Iterator[str]:
    yield f"rank {of_rank.rank}"
    for kind, members in of_rank.groups.items():
        name, purpose = PURPOSE[kind]
        yield f"  {kind.value:<3}  {name:<12}  {', '.join(map(str, members))}   {purpose}"


def _many(count: int, word: str, plural: str = "s") -> str:
    return f"{count} {word}{plural if count != 1 else ''}"
