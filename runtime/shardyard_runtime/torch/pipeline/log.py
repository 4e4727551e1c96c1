"""``deterministic_server``: the ranks of a data-parallel group run their calls in one order, that of the first of them.

So collectives of replicas inside modules meet. It works as long as the replicas make the same calls.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from shardyard_runtime.comm.transport import Transport
from shardyard_runtime.torch.pipeline.planned.slices import Name

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.scheduler import Scheduler, Task

_KEY = "the order of calls"


class Log:
    """The order in which tasks of a step start and go on. The group's first rank writes it, the others follow.

    ``group`` are the global ranks of the data-parallel group.
    """

    def __init__(self, transport: Transport, group: tuple[int, ...]) -> None:
        self._transport = transport
        self._others = group[1:] if transport.rank == group[0] else ()
        self._entries: deque[tuple[int, Name | None]] = deque()
        self._step = 0
        self._started: set[Name] = set()
        self.leader = group[0]

    def listen(self, scheduler: Scheduler) -> None:
        def arrived(source: int, entry: tuple[int, Name | None]) -> None:
            self._entries.append(entry)
            scheduler.notify()

        self._transport.handle(_KEY, arrived, scheduler.fail)

    def begin(self, step: int) -> None:
        self._step = step
        self._started.clear()
        while self._entries and self._entries[0][0] < step:
            self._entries.popleft()

    def end(self) -> None:
        """Whatever still runs in this step may do so in any order."""
        self._tell(None)

    def record(self, task: Task) -> None:
        """The task runs now; the others take it next."""
        self._tell(task.identity)

    def _tell(self, name: Name | None) -> None:
        for peer in self._others:
            self._transport.send(peer, _KEY, (self._step, name))

    @property
    def follows(self) -> bool:
        """Whether this rank still has to take the others' order in this step."""
        head = self._head()
        over = head is not None and (head[0] > self._step or head[1] is None)
        return self._transport.rank != self.leader and not over

    def _head(self) -> tuple[int, Name | None] | None:
        return self._entries[0] if self._entries else None

    def _wanted(self) -> Name | None:
        """The task that has to run next; None while that is not known."""
        head = self._head()
        return head[1] if head is not None and head[0] == self._step else None

    def wants(self, task: Task) -> bool:
        """A task in which nothing is left but to wait for answers may run at any time."""
        return task.settling or task.identity == self._wanted()

    def wants_fresh(self) -> bool:
        wanted = self._wanted()
        return wanted is not None and wanted[1] == () and wanted not in self._started

    def took(self, task: Task) -> None:
        if not task.settling:
            self._entries.popleft()
            if task.identity[1] == ():
                self._started.add(task.identity)
