"""How a schedule goes, on a virtual clock, with given costs: to its end, or to where it cannot go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shardyard_runtime.torch.pipeline.schedule.clock import Clock
from shardyard_runtime.torch.pipeline.schedule.tasks import Kind, Schedule, ScheduleError, Task
from shardyard_runtime.torch.pipeline.schedule.validate import findings
from shardyard_runtime.torch.pipeline.schedule.workload import Workload


class Stuck(RuntimeError):
    """A schedule that cannot complete: the orders of the ranks wait for each other."""


@dataclass(frozen=True)
class Outcome:
    """Of a step: when each task starts and ends, and by rank what the rank does and holds.

    ``idle``: share of the step in which a rank does nothing. ``live``: microbatches of which a rank holds something, at
    most. ``peak_bytes``: what it holds for them, at most. ``in_flight``: microbatches that have begun anywhere and
    not ended, but for gradients of weights, at most.
    """

    starts: dict[Task, float]
    ends: dict[Task, float]
    seconds: float
    idle: tuple[float, ...]
    live: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    in_flight: int

    @property
    def idle_share(self) -> float:
        """Of all ranks together."""
        return sum(self.idle) / len(self.idle)


def simulate(schedule: Schedule, workload: Workload, active: int) -> Outcome:
    """Each rank does its tasks in order, each as soon as it can; at most ``active`` microbatches are in flight.

    Raises ScheduleError with all findings of what each order is by itself, Stuck when they cannot all be followed.
    """
    found = findings(schedule, workload)
    if found:
        raise ScheduleError(found)
    position = [0] * workload.ranks

    def planned(clock: Clock, rank: int) -> Task | None:
        following = schedule[rank][position[rank]]
        if following not in clock.ready[rank]:
            return None
        position[rank] += 1
        return following

    clock = Clock(workload, active)
    clock.run(planned)
    waiting = [
        _waits(rank, schedule[rank][at], clock)
        for rank, at in enumerate(position)
        if at < len(schedule[rank])
    ]
    if waiting:
        raise Stuck("the schedule cannot complete: " + "; ".join(waiting))
    return outcome(clock)


def _waits(rank: int, task: Task, clock: Clock) -> str:
    before = [Task(*key, task.microbatch) for key in clock.workload.part(task).after]
    waits = [str(one) for one in before if one not in clock.ends]
    room = f"fewer than {clock.active} microbatches in flight"
    return f"rank {rank} is at {task}, which waits for {', '.join(waits) or room}"


def outcome(clock: Clock) -> Outcome:
    """What a run came to."""
    workload, starts, ends = clock.workload, clock.starts, clock.ends
    ranks = range(workload.ranks)
    seconds = max(ends.values(), default=0.0)
    busy = [0.0] * workload.ranks
    changes: list[list[tuple[float, int]]] = [[] for _ in ranks]  # of the bytes held, by rank
    spans: list[dict[int, tuple[float, float]]] = [{} for _ in ranks]  # of each microbatch, by rank
    flight: dict[int, tuple[float, float]] = {}
    for task, part in workload.tasks():
        begins, over = starts[task], ends[task]
        busy[part.rank] += part.seconds
        changes[part.rank] += [(begins, part.holds), (over, -part.frees)]
        _widen(spans[part.rank], task.microbatch, begins, over)
        if task.kind is not Kind.WEIGHT_GRADIENT:
            _widen(flight, task.microbatch, begins, over)
    return Outcome(
        starts,
        ends,
        seconds,
        tuple(1.0 - one / seconds if seconds else 0.0 for one in busy),
        tuple(_most_at_once(spans[rank].values()) for rank in ranks),
        tuple(_peak(changes[rank]) for rank in ranks),
        _most_at_once(flight.values()),
    )


def _widen(spans: dict[int, tuple[float, float]], microbatch: int, begins: float, over: float) -> None:
    first, last = spans.get(microbatch, (begins, over))
    spans[microbatch] = (min(first, begins), max(last, over))


def _most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    return _peak([change for begins, over in spans for change in ((begins, 1), (over, -1))])


def _peak(changes: Iterable[tuple[float, int]]) -> int:
    """The highest sum on the way; what ends at a time has ended before anything begins then."""
    total = highest = 0
    for _, change in sorted(changes):
        total += change
        highest = max(highest, total)
    return highest
