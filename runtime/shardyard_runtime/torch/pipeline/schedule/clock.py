"""Ranks at work on a virtual clock: whenever one is idle, somebody chooses among what it could do."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from shardyard_runtime.torch.pipeline.schedule.tasks import Key, Kind, Task
from shardyard_runtime.torch.pipeline.schedule.workload import Part, Workload


@dataclass
class Clock:
    """The state of a run. ``ready`` are the tasks that a rank could do now, by rank.

    ``held`` counts a rank's microbatches that have begun there and not ended there. Tasks that begin a microbatch are
    ready while fewer than ``active`` are in flight: begun, and not ended but for gradients of weights.
    """

    workload: Workload
    active: int
    now: float = 0.0
    starts: dict[Task, float] = field(default_factory=dict)
    ends: dict[Task, float] = field(default_factory=dict)
    ready: list[set[Task]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        ranks = self.workload.ranks
        self.ready = [set() for _ in range(ranks)]
        self.held = [0] * ranks
        self._busy = [False] * ranks
        self._flight: set[int] = set()
        self._entries: dict[int, list[tuple[Task, Part]]] = {}
        self._events: list[tuple[float, int, Task, bool]] = []
        self._missing = {task: len(part.after) for task, part in self.workload.tasks()}
        self._begun: set[tuple[int, int]] = set()
        self._left: dict[tuple[int, int], int] = {}  # tasks of a microbatch on a rank that have not ended
        self._awaited: dict[int, int] = {}  # tasks of a microbatch that keep it in flight
        self._behind: dict[int, dict[Key, list[Key]]] = {}  # by microbatch's parts: which come after which
        for task, part in self.workload.tasks():
            if not part.after:
                self._entries.setdefault(task.microbatch, []).append((task, part))
            held = (part.rank, task.microbatch)
            self._left[held] = self._left.get(held, 0) + 1
            counts = task.kind is not Kind.WEIGHT_GRADIENT
            self._awaited[task.microbatch] = self._awaited.get(task.microbatch, 0) + counts
        for parts in self.workload.microbatches:
            if id(parts) not in self._behind:
                behind = self._behind[id(parts)] = {key: [] for key in parts}
                for key, part in parts.items():
                    for before in part.after:
                        behind[before].append(key)

    def run(self, choose: Callable[[Clock, int], Task | None]) -> None:
        """Until nothing goes on any more: ``choose(clock, rank)`` is asked for one of ``ready[rank]``, or to wait."""
        self._offer()
        while True:
            self._dispatch(choose)
            if not self._events:
                return
            self.now = self._events[0][0]
            while self._events and self._events[0][0] == self.now:
                _, _, task, over = heapq.heappop(self._events)
                if over:
                    self._end(task)
                else:
                    self._arrived(task)

    def has_begun(self, rank: int, microbatch: int) -> bool:
        """Whether the rank has done a part of the microbatch already."""
        return (rank, microbatch) in self._begun

    def _dispatch(self, choose: Callable[[Clock, int], Task | None]) -> None:
        for rank in range(self.workload.ranks):
            task = None if self._busy[rank] or not self.ready[rank] else choose(self, rank)
            if task is not None:
                self._start(task)

    def _start(self, task: Task) -> None:
        part = self.workload.part(task)
        self.ready[part.rank].discard(task)
        self._busy[part.rank] = True
        self.starts[task] = self.now
        if (part.rank, task.microbatch) not in self._begun:
            self._begun.add((part.rank, task.microbatch))
            self.held[part.rank] += 1
        if self._entries.pop(task.microbatch, None):
            self._flight.add(task.microbatch)
            if len(self._flight) == self.active:
                for entries in self._entries.values():
                    for other, its in entries:
                        self.ready[its.rank].discard(other)
        self._push(self.now + part.seconds, task, True)

    def _end(self, task: Task) -> None:
        part, microbatch = self.workload.part(task), task.microbatch
        self.ends[task] = self.now
        self._busy[part.rank] = False
        self._left[part.rank, microbatch] -= 1
        self.held[part.rank] -= not self._left[part.rank, microbatch]
        for key in self._behind[id(self.workload.microbatches[microbatch])][task.key]:
            behind = Task(*key, microbatch)
            far = self.workload.part(behind).rank != part.rank
            self._push(self.now + far * self.workload.transfer, behind, False)
        self._awaited[microbatch] -= task.kind is not Kind.WEIGHT_GRADIENT
        if not self._awaited[microbatch] and microbatch in self._flight:
            self._flight.discard(microbatch)
            self._offer()

    def _arrived(self, task: Task) -> None:
        """One of what the task comes after has ended, and is here."""
        self._missing[task] -= 1
        if not self._missing[task]:
            self.ready[self.workload.part(task).rank].add(task)

    def _offer(self) -> None:
        for entries in self._entries.values():
            for task, part in entries:
                self.ready[part.rank].add(task)

    def _push(self, time: float, task: Task, over: bool) -> None:
        heapq.heappush(self._events, (time, len(self.starts) + len(self.ends), task, over))
