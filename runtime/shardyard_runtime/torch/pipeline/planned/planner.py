"""On the rank that leads: plans for steps, one for each that takes the same way as one before."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.pipeline.planned.outline import Outline, Unplannable, outlined
from shardyard_runtime.torch.pipeline.planned.slices import Name, Record
from shardyard_runtime.torch.pipeline.schedule.plans import step_plan
from shardyard_runtime.torch.pipeline.schedule.simulate import Stuck, simulate
from shardyard_runtime.torch.pipeline.schedule.tasks import Schedule
from shardyard_runtime.torch.pipeline.schedule.workload import RankCost

_KEPT = 64  # plans; steps that are new each time must not fill the memory
_TRIES = 3  # plans that a step may leave before it runs in the order of arrival for good


@dataclass(frozen=True)
class RankPlan:
    """What one rank follows: the tasks in order, one entry a slice, and the slices of each."""

    order: tuple[Name, ...]
    slices: Record


@dataclass(frozen=True)
class StepPlan:
    """``records``: what it was made from. ``schedule``: the order in which it puts each rank's tasks. ``timed``: them on the
    virtual clock, as (partition, kind, microbatch, start, end)."""

    number: int
    records: tuple[Record, ...]
    schedule: Schedule
    timed: tuple[tuple[int, str, int, float, float], ...]
    outlines: tuple[Outline, ...]
    ranks: tuple[RankPlan, ...]


class Planner:
    """``pipeline`` is one of the names of ``plans.step_plan``; ``costs`` are by rank.

    A plan follows from what was recorded, from the costs and from the rule alone: replicas come to the same one.
    """

    def __init__(self, pipeline: str, active: int, costs: Sequence[RankCost]) -> None:
        self._pipeline, self._active, self._costs = pipeline, active, costs
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # that a plan was left, the communication thread says
        self._plans: dict[Hashable, StepPlan] = {}
        self._left: dict[Hashable, int] = {}

    def plan(self, key: Hashable) -> StepPlan | None:
        return self._plans.get(key)

    def learns(self, key: Hashable) -> bool:
        """Whether a step like this should be recorded."""
        return key not in self._plans and self._left.get(key, 0) < _TRIES

    def learn(self, key: Hashable, records: Sequence[Record]) -> None:
        """Makes the plan for steps that do what this one did, where there can be one."""
        with self._lock:
            known = next((plan for plan in self._plans.values() if plan.records == tuple(records)), None)
            if len(self._plans) + len(self._left) >= _KEPT:
                self._plans.clear()
                self._left.clear()
            try:
                self._plans[key] = known or self._made(tuple(records))
            except (Unplannable, Stuck):
                self._left[key] = _TRIES

    def left(self, number: int) -> None:
        """A step went another way than the plan with this number."""
        with self._lock:
            for key in [key for key, plan in self._plans.items() if plan.number == number]:
                del self._plans[key]
                self._left[key] = self._left.get(key, 0) + 1

    def _made(self, records: tuple[Record, ...]) -> StepPlan:
        workload, outlines = outlined(records, self._costs)
        schedule = step_plan(self._pipeline, workload, self._active).schedule
        outcome = simulate(schedule, workload, self._active)
        timed = tuple(
            (rank, task.kind.value, task.microbatch, outcome.starts[task], outcome.ends[task])
            for rank, tasks in enumerate(schedule)
            for task in tasks
        )
        ranks = []
        for rank, tasks in enumerate(schedule):
            order = [
                (task.microbatch, path)
                for task in tasks
                for path in outlines[task.microbatch].slices[task.key]
            ]
            ranks.append(RankPlan(tuple(order), {name: records[rank][name] for name in order}))
        return StepPlan(next(self._numbers), records, schedule, timed, tuple(outlines), tuple(ranks))
