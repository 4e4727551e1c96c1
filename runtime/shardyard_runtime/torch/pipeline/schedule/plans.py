"""The schedules by name, on given costs; and the best of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.pipeline.schedule.generate import Rule, generated, interleaved, simple
from shardyard_runtime.torch.pipeline.schedule.simulate import Outcome, Stuck, simulate
from shardyard_runtime.torch.pipeline.schedule.tasks import Schedule
from shardyard_runtime.torch.pipeline.schedule.virtual_stages import virtual_stages
from shardyard_runtime.torch.pipeline.schedule.workload import Segment, Workload, chain

RULES: dict[str, Rule] = {"simple": simple, "interleaved": interleaved}
NAMES = (*RULES, "virtual_stages", "zero_bubble")


@dataclass(frozen=True)
class Plan:
    """A schedule, and how a step goes with it."""

    name: str
    schedule: Schedule
    outcome: Outcome


class NothingFits(ValueError):
    """No schedule keeps within the memory limit."""


def chain_plan(
    name: str,
    segments: Sequence[Segment],
    ranks: int,
    microbatches: int,
    active: int,
    transfer: float = 0.0,
) -> Plan:
    """One of NAMES for a chain; ``virtual_stages`` is for several segments a rank, the others for one or more.

    Raises ValueError for another name.
    """
    if name not in NAMES:
        raise ValueError(f"{name!r} is no schedule; there are {', '.join(NAMES)}")
    workload = chain(segments, ranks, microbatches, transfer, split=name == "zero_bubble")
    plans = [Plan(name, *generated(RULES.get(name, interleaved), workload, active))]
    if name == "virtual_stages" and len(segments) % ranks == 0:
        schedule = virtual_stages(len(segments), ranks, microbatches)
        with contextlib.suppress(Stuck):  # it needs more microbatches in flight
            plans.append(Plan(name, schedule, simulate(schedule, workload, active)))
    return fastest(plans)


def step_plan(name: str, workload: Workload, active: int) -> Plan:
    """``simple``, ``interleaved``, or with ``auto`` the better of them, for any tasks. Raises Stuck as generated does."""
    names = tuple(RULES) if name == "auto" else (name,)
    return fastest([Plan(one, *generated(RULES[one], workload, active)) for one in names])


def fastest(plans: Iterable[Plan]) -> Plan:
    """Of equally fast ones, one that holds less; then the first."""
    return min(plans, key=lambda plan: (plan.outcome.seconds, max(plan.outcome.live, default=0)))


def best(plans: Sequence[Plan], limit_bytes: float = float("inf"), states: Sequence[int] = ()) -> Plan:
    """The fastest whose ranks keep within ``limit_bytes``, with ``states``, bytes by rank, beside activations.

    Raises NothingFits, which says what the most modest one needs.
    """
    needs = [
        max(map(sum, zip(plan.outcome.peak_bytes, states or [0] * len(plan.outcome.live), strict=True)))
        for plan in plans
    ]
    fitting = [plan for plan, need in zip(plans, needs, strict=True) if need <= limit_bytes]
    if not fitting:
        least = min(range(len(plans)), key=needs.__getitem__)
        raise NothingFits(
            f"no schedule keeps within {limit_bytes:,.0f} bytes a rank: {plans[least].name} needs least, "
            f"{needs[least]:,} bytes. Fewer active_microbatches, more partitions or activation checkpointing need less"
        )
    return fastest(fitting)
