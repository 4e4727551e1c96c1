"""What is wrong with a schedule, before anybody follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shardyard_runtime.torch.pipeline.schedule.tasks import Schedule, Task
from shardyard_runtime.torch.pipeline.schedule.workload import Workload

_SHOWN = 8


def findings(schedule: Schedule, workload: Workload) -> list[str]:
    """Everything that can be told of each rank's order by itself; whether they fit together :func:`simulate` tells."""
    found = []
    if len(schedule) != workload.ranks:
        found.append(f"it has orders for {len(schedule)} ranks, and there are {workload.ranks}")
    expected = {task: part.rank for task, part in workload.tasks()}
    seen: dict[Task, int] = {}
    for rank, order in enumerate(schedule):
        for task in order:
            if task not in expected:
                found.append(f"rank {rank} has {task}, which is none of the step's tasks")
            elif task in seen:
                found.append(f"rank {rank} has {task}, which rank {seen[task]} has already")
            elif expected[task] != rank:
                found.append(f"rank {rank} has {task}, which belongs to rank {expected[task]}")
            seen.setdefault(task, rank)
        found += _too_early(rank, order, workload, expected)
    missing = sorted(task for task in expected if task not in seen)
    if missing:
        found.append(f"no rank has {_some(missing)}")
    return found


def _too_early(
    rank: int, order: Sequence[Task], workload: Workload, expected: dict[Task, int]
) -> Iterator[str]:
    position = {task: index for index, task in enumerate(order)}
    for index, task in enumerate(order):
        for key in workload.part(task).after if task in expected else ():
            before = Task(*key, task.microbatch)
            if position.get(before, -1) > index:
                yield f"rank {rank} has {task} before {before}, which it comes after"


def _some(tasks: Sequence[Task]) -> str:
    more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    return ", ".join(map(str, tasks[:_SHOWN])) + more
