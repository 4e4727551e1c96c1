"""A rank's way through a step: recorded to make a plan of, or kept to a plan and held against it, slice by slice.

As long as every slice on every rank was the plan's, the step is where the simulated one was, and that came to its end. The
rank that sees the first other one tells the rest at once, and all go on in the order of arrival: no rank waits for what does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shardyard_runtime.torch.pipeline.planned.planner import RankPlan
from shardyard_runtime.torch.pipeline.planned.slices import Made, Name, Path, Record, Slice
from shardyard_runtime.torch.pipeline.values import CallId

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.scheduler import Task


@dataclass
class _Open:
    """The slice that runs now."""

    name: Name
    backward: bool
    made: list[Made] = field(default_factory=list)


class Course:
    """``partitions`` by global rank; ``left`` is called once when this rank is the first to see that the plan does not hold.

    An order (scheduler.py): while ``follows``, a task may run when it is the plan's next, or when the plan does not
    know it and so nothing in it waits for it.
    """

    def __init__(self, partitions: Mapping[int, int], left: Callable[[], None]) -> None:
        self._partitions, self._left = partitions, left
        self.follows = False
        self._begun, self._dropped = True, False
        self._plan: RankPlan | None = None
        self._at = 0
        self._done: dict[Name, int] = {}  # slices of each task that have run
        self._open: _Open | None = None
        self._record: Record | None = None
        self._settled = True

    def expect(self) -> None:
        """A step begins, and the leader has not said yet by which plan: nothing runs before."""
        self._plan, self._record, self._open = None, None, None
        self._begun, self._dropped, self.follows = False, False, True

    def begin(self, plan: RankPlan | None, records: bool) -> None:
        """By a plan, or in the order of arrival, recorded if so desired."""
        self._plan, self._record = plan, {} if records else None
        self._at, self._settled = 0, True
        self._done.clear()
        self._begun, self.follows = True, plan is not None and not self._dropped

    def record(self) -> Record | None:
        """What this rank did in the step; None where the next one like it will do something else."""
        return self._record if self._settled else None

    def leave(self) -> None:
        """From here on, in the order of arrival; all ranks are told."""
        if self.follows and self._begun:
            self.follows = False
            self._left()

    def drop(self) -> None:
        """Another rank has left the plan, maybe before this one has heard which it is."""
        self._dropped = True
        self.follows &= not self._begun

    # An order for the scheduler, which asks under its lock ------------------------------------------------------

    def wants(self, task: Task) -> bool:
        return self._begun and (
            task.settling or not self._knows(task.identity) or task.identity == self._wanted()
        )

    def wants_fresh(self) -> bool:
        wanted = self._wanted()
        return wanted is not None and wanted[1] == () and wanted not in self._done

    def took(self, task: Task) -> None:
        if not task.settling and self._knows(task.identity):
            self._at += 1

    def _wanted(self) -> Name | None:
        order = self._plan.order if self._plan is not None else ()
        return order[self._at] if self._at < len(order) else None

    def _knows(self, name: Name) -> bool:
        return self._plan is not None and name in self._plan.slices

    # Around and in each slice; one runs at a time ---------------------------------------------------------------

    def starts(self, task: Task) -> None:
        watched = self._record is not None or (self.follows and self._knows(task.identity))
        if watched and not task.settling:
            self._open = _Open(task.identity, task.backward)

    def made(self, rank: int, target: str, awaited: Sequence[CallId], answered: bool, new: bool) -> None:
        """The running task calls ``target``. ``new``: the next call like it will not wait as this one does."""
        if self._open is not None:
            paths = self._paths(self._open.name[0], awaited)
            made = Made(self._partitions[rank], target, paths, answered)
            self._open.made.append(made)
            self._settled &= not new

    def stops(self, task: Task) -> None:
        """Records the slice, or holds it against the plan's."""
        if self._open is None:
            return
        was, self._open = self._open, None
        name = was.name
        waits = None if task.over or task.settling else self._paths(name[0], task.waits_for)
        seen = Slice(was.backward, tuple(was.made), waits)
        if self._record is not None:
            self._record.setdefault(name, []).append(seen)
            return
        index = self._done.get(name, 0)
        self._done[name] = index + 1
        expected = self._plan.slices[name] if self._plan is not None else []
        if index >= len(expected) or seen != expected[index]:
            self.leave()

    def _paths(self, microbatch: int, calls: Sequence[CallId]) -> tuple[Path, ...]:
        # A value of another microbatch orders the two, which a plan knows nothing of.
        self._settled &= all(other == microbatch for _, other, _ in calls)
        return tuple(path for _, _, path in calls)
