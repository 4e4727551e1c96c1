"""The schedules by name, on given costs; and the best of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.pipeline.schedule.generate import Rule, generated, interleaved, simple
from shardyard_runtime.torch.pipeline.schedule.simulate import Outcome, Stuck, simulate
from shardyard_runtime.torch.pipeline.schedule.tasks import Kind, Schedule, ScheduleError
from shardyard_runtime.torch.pipeline.schedule.virtual_stages import virtual_stages
from shardyard_runtime.torch.pipeline.schedule.workload import Segment, Workload, chain

RULES: dict[str, Rule] = {"simple": simple, "interleaved": interleaved}
FOLLOWED = (*RULES, "virtual_stages")  # by the engine
NAMES = (*FOLLOWED, "zero_bubble")


@dataclass(frozen=True)
class Plan:
    """A schedule, and how a step goes with it."""

    name: str
    schedule: Schedule
    outcome: Outcome


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
    return step_plan(name, workload, active)


def step_plan(name: str, workload: Workload, active: int) -> Plan:
    """One of FOLLOWED, or with ``auto`` the best of them, for any tasks. Raises Stuck as generated does.

    Where the tasks are those of a chain over virtual stages, Megatron's order is an order for them.
    """
    names = tuple(RULES) if name == "auto" else (name,)
    plans = [Plan(one, *generated(RULES.get(one, interleaved), workload, active)) for one in names]
    if name in ("auto", "virtual_stages"):
        segments = sum(key.kind is Kind.FORWARD for key in workload.microbatches[0])
        schedule = virtual_stages(segments, workload.ranks, len(workload.microbatches))
        with contextlib.suppress(ScheduleError, Stuck):  # other tasks, or too few may be in flight
            plans.append(Plan("virtual_stages", schedule, simulate(schedule, workload, active)))
    return best(plans, workload.room)


def fastest(plans: Iterable[Plan]) -> Plan:
    """Of equally fast ones, to nine digits, one that holds less on all ranks together; then the first."""
    return min(plans, key=lambda plan: (float(f"{plan.outcome.seconds:.9g}"), sum(plan.outcome.live)))


def best(plans: Sequence[Plan], room: Sequence[float] = ()) -> Plan:
    """The fastest whose ranks have ``room``, bytes by rank, for all that they hold at once; else the one that exceeds it least."""
    if not room:
        return fastest(plans)

    def excess(plan: Plan) -> float:
        return max(held - bytes_ for held, bytes_ in zip(plan.outcome.peak_bytes, room, strict=True))

    fitting = [plan for plan in plans if excess(plan) <= 0]
    return fastest(fitting) if fitting else min(plans, key=excess)
