"""Schedules from a rule: what a rank does when it could do several tasks.

The order in which the ranks of a virtual clock did their tasks by the rule is the schedule. So it can always be followed,
whatever the tasks really cost: something that all tasks before it have been done for is next on some rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shardyard_runtime.torch.pipeline.schedule.clock import Clock
from shardyard_runtime.torch.pipeline.schedule.simulate import Outcome, Stuck, outcome
from shardyard_runtime.torch.pipeline.schedule.tasks import Kind, Schedule, Task
from shardyard_runtime.torch.pipeline.schedule.workload import Workload

Rule = Callable[[Task], Any]  # the lowest goes first


def simple(task: Task) -> Any:
    """All forwards that may be in flight, then backwards (GPipe: Huang et al., 2019)."""
    return task.kind is not Kind.FORWARD, task.microbatch, task.segment


def interleaved(task: Task) -> Any:
    """A backward as soon as there is one (1F1B: Narayanan et al., 2019); with several segments a rank the deeper first.

    Of a split backward the gradient of the input first, then a forward; that of the weights when there is nothing else
    (ZB-H1: Qi et al., 2023).
    """
    order = {Kind.WEIGHT_GRADIENT: 2, Kind.FORWARD: 1}
    return order.get(task.kind, 0), task.microbatch, -task.segment


def generated(rule: Rule, workload: Workload, active: int) -> tuple[Schedule, Outcome]:
    """The schedule, and how it goes with these costs. No rank holds, or lets begin, more than ``active`` microbatches.

    Raises Stuck for a workload whose tasks come after each other in a circle.
    """

    def choose(clock: Clock, rank: int) -> Task | None:
        full = clock.held[rank] >= active  # gradients of weights that are put off hold their microbatch
        could = (
            task
            for task in clock.ready[rank]
            if not full or task.kind is not Kind.FORWARD or clock.has_begun(rank, task.microbatch)
        )
        return min(could, key=rule, default=None)

    clock = Clock(workload, active)
    clock.run(choose)
    left = [task for task, _ in workload.tasks() if task not in clock.ends]
    if left:
        raise Stuck(f"{len(left)} tasks, {left[0]} first, come after each other in a circle")
    orders: list[list[Task]] = [[] for _ in range(workload.ranks)]
    for task in clock.starts:
        orders[workload.part(task).rank].append(task)
    return tuple(map(tuple, orders)), outcome(clock)
