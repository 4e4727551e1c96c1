"""One running call at a time: tasks on pooled threads, strict hand-off, a pick rule.

The main thread picks a ready task, hands it the baton and waits until the task blocks, parks or ends. So user
code needs no locks, and what runs next is decided in one place.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol

from shardyard_runtime.comm.torch_mpi import CommunicationTimeout, bound
from shardyard_runtime.comm.torch_sites import site_of
from shardyard_runtime.torch.pipeline.log import Log
from shardyard_runtime.torch.pipeline.planned.course import Course
from shardyard_runtime.torch.pipeline.planned.slices import Name
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.values import CallId


class Phase(IntEnum):
    FORWARD = 0
    BACKWARD = 1


class StepAbandoned(BaseException):
    """Unwinds a task whose step has failed elsewhere; never reaches user code's ``except Exception``."""


class Task:
    """A call in progress. ``wait`` is called by the task itself, ``value`` is what wakes it.

    ``calls`` counts those that it made, ``unanswered`` those of them that it did not wait for; ``called`` tells whether it
    made any of a module. ``waits_for`` are the calls that have to be over before it goes on, while it is blocked.
    """

    def __init__(
        self,
        body: Callable[[], None],
        microbatch: int,
        phase: Phase,
        call: CallId | None = None,
        name: str = "",
    ) -> None:
        self.body = body
        self.call = call  # the served call; None of a microbatch's own body
        self.name = name  # what it calls, for the timeline
        self.microbatch = microbatch
        self.phase = phase
        self.identity: Name = (microbatch, call[2] if call is not None else ())
        self.value: Any = None
        self.error: BaseException | None = None
        self.calls = 0
        self.unanswered = 0
        self.settling = False
        self.called = False
        self.abandoned = False
        self.over = False
        self.worker: _Worker | None = None
        self.waits_for: Sequence[CallId] = ()
        self.awaits: Callable[[], str] = str  # what it waits for, while it is blocked

    @property
    def backward(self) -> bool:
        return self.phase is Phase.BACKWARD

    def let_go(self) -> None:
        """Its idle thread refers to it until the next one comes: a task that is over holds no tensors."""
        self.over = True
        self.body, self.value, self.error, self.awaits = _nothing, None, None, str


def _nothing() -> None:
    """The body of a task that is over."""


class _Worker:
    """A thread that runs tasks one after another; reused across steps."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.baton = threading.Semaphore(0)
        self.task: Task | None = None
        self.thread = threading.Thread(target=self._loop, name="shardyard-task", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        self._scheduler.enter_thread()
        while True:
            self.baton.acquire()
            task = self.task
            assert task is not None
            self._scheduler.current.task = task
            try:
                if not task.abandoned:
                    task.body()
            except StepAbandoned:
                pass
            except BaseException as error:
                self._scheduler.fail(error)
            self.task = self._scheduler.current.task = None
            task.let_go()
            self._scheduler.release(self, task)


class Order(Protocol):
    """Says which task is next, while it ``follows``: a plan, or what another replica did."""

    @property
    def follows(self) -> bool: ...

    def wants(self, task: Task) -> bool:
        """Whether a ready task may run now."""

    def wants_fresh(self) -> bool:
        """Whether the next one is a microbatch that has not started."""

    def took(self, task: Task) -> None: ...


class Scheduler:
    """Runs tasks by a pick rule: ``interleaved`` takes a ready backward first, ``simple`` a ready forward.

    ``enter_thread`` is called once on each thread that runs tasks: the current GPU is a thread's own. The main thread
    waits inside ``waiting(unmet)``, where ``unmet()`` says whether there still is a reason to. Before the rule comes what
    the ``log`` says, and then the plan of the ``course``, which sees each slice of a task.
    """

    def __init__(
        self,
        pipeline: str,
        streams: Streams,
        enter_thread: Callable[[], None],
        waiting: Callable[[Callable[[], bool]], contextlib.AbstractContextManager[None]],
        log: Log | None = None,
        course: Course | None = None,
    ) -> None:
        self._log, self._course = log, course
        self._streams = streams
        self._waiting = waiting
        self._bound = bound()
        self.enter_thread = enter_thread
        self._backward_first = pipeline != "simple"
        self.current = threading.local()
        self._idle: list[_Worker] = []
        self._returned = threading.Semaphore(0)
        self._changed = threading.Condition()
        self._ready: list[Task] = []
        self._blocked: set[Task] = set()
        self.error: BaseException | None = None

    def spawn(
        self,
        body: Callable[[], None],
        microbatch: int,
        phase: Phase,
        call: CallId | None = None,
        name: str = "",
    ) -> None:
        """Adds a call; any thread may do so."""
        with self._changed:
            self._ready.append(Task(body, microbatch, phase, call, name))
            self._changed.notify()

    def wake(self, task: Task, value: Any) -> None:
        """Makes a blocked task ready with the value that it waits for; any thread may do so."""
        with self._changed:
            if task in self._blocked:
                self._blocked.discard(task)
                task.value = value
                self._ready.append(task)
                self._changed.notify()

    def notify(self) -> None:
        """Makes the main thread look at its end condition again."""
        with self._changed:
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify()

    def fail_task(self, task: Task, error: BaseException) -> None:
        """Raises ``error`` in a task where it waits, or will wait next, each time; any thread may do so."""
        with self._changed:
            task.error = task.error or error
            if task in self._blocked:
                self._blocked.discard(task)
                self._ready.append(task)
                self._changed.notify()

    def prepare_wait(self, awaits: Callable[[], str], calls: Sequence[CallId] = ()) -> Task:
        """Called by a running task before it sends what will be answered: an answer may come at once.

        ``awaits`` says what it waits for, should that never come; ``calls`` are those that have to be over.
        """
        task: Task = self.current.task
        if task.abandoned:
            raise StepAbandoned
        task.awaits, task.waits_for = awaits, calls
        with self._changed:
            if task.error is not None:
                raise task.error
            self._blocked.add(task)
        return task

    def turn(self, task: Task) -> None:
        """Called by a running microbatch that has come to its backward."""
        task.phase = Phase.BACKWARD

    def blocked(self) -> list[str]:
        """What each blocked task waits for, and the line of the script that it is at."""
        with self._changed:
            tasks = sorted(self._blocked, key=lambda task: task.microbatch)
        return [f"microbatch {task.microbatch}: {task.awaits()}{_site(task)}" for task in tasks]

    def wait(self, task: Task) -> Any:
        """Hands the baton back until :meth:`wake`; raises StepAbandoned when the step has failed, or what
        :meth:`fail_task` was given."""
        assert task.worker is not None
        saved = self._streams.save()  # random numbers are drawn from a generator of the process
        self._returned.release()
        task.worker.baton.acquire()
        self._streams.restore(saved)
        if task.abandoned:
            raise StepAbandoned
        if task.error is not None:
            raise task.error
        return task.value

    def release(self, worker: _Worker, task: Task) -> None:
        with self._changed:  # a task that failed between prepare_wait and wait waits for nothing any more
            self._blocked.discard(task)
            if task in self._ready:
                self._ready.remove(task)
        self._idle.append(worker)
        self._returned.release()

    def run(
        self,
        admit: Callable[[], Task | None],
        ended: Callable[[], bool],
    ) -> None:
        """Runs ready tasks, and those that ``admit`` offers when the rule prefers one, until ``ended``.

        Returns early when a task failed; the caller looks at ``error``.
        """
        while True:
            with self._changed:
                task = None
                while task is None:
                    if self.error is not None or ended():
                        return
                    task = self._pick(admit)
                    if (
                        task is None and not self._runnable()
                    ):  # offering may itself have made parked calls ready
                        self._wait(ended)
            self._run_slice(task)

    def _run_slice(self, task: Task) -> None:
        if self._course is None:
            self._hand_over(task)
            return
        self._course.starts(task)
        self._hand_over(task)
        if self.error is None:
            self._course.stops(task)

    def _wait(self, ended: Callable[[], bool]) -> None:
        def unmet() -> bool:
            fresh = self._log is not None and self._log.wants_fresh()
            return not self._runnable() and not fresh and self.error is None and not ended()

        with self._waiting(unmet):
            if not self._changed.wait(self._bound):
                raise CommunicationTimeout(
                    f"no call of this step could go on for {self._bound:.0f} s; {self.blocked() or 'no call'} "
                    "waits for other ranks. Check that every rank calls the same step function; "
                    "SHARDYARD_COMM_TIMEOUT sets the bound in seconds"
                )

    def abandon(self) -> None:
        """Unwinds every call in progress and forgets the rest."""
        with self._changed:
            tasks = [*self._ready, *self._blocked]
            self._ready.clear()
            self._blocked.clear()
        for task in tasks:
            task.abandoned = True
            if task.worker is not None:
                self._hand_over(task)
        self.error = None

    @property
    def order(self) -> Order | None:
        """What says which task is next, in place of the rule."""
        orders: tuple[Order | None, ...] = (self._log, self._course)
        return next((order for order in orders if order is not None and order.follows), None)

    def _runnable(self) -> bool:
        order = self.order
        return bool(self._ready) if order is None else any(order.wants(task) for task in self._ready)

    def _pick(self, admit: Callable[[], Task | None]) -> Task | None:
        order = self.order
        task = self._by_rule(admit) if order is None else self._by_order(order, admit)
        if task is not None and not task.settling and self._log is not None and order is not self._log:
            self._log.record(task)
        return task

    def _by_order(self, order: Order, admit: Callable[[], Task | None]) -> Task | None:
        task = next((task for task in self._ready if order.wants(task)), None)
        if task is not None:
            self._ready.remove(task)
        elif order.wants_fresh():
            task = admit()
        if task is not None:
            order.took(task)
        return task

    def _by_rule(self, admit: Callable[[], Task | None]) -> Task | None:
        def rank(task: Task) -> tuple[bool, int]:
            return ((task.phase is Phase.BACKWARD) != self._backward_first, task.microbatch)

        best = min(self._ready, key=rank, default=None)
        if best is None or rank(best)[0]:  # nothing of the preferred phase is ready
            fresh = admit() if best is None or best.phase is Phase.BACKWARD else None
            if fresh is not None:
                return fresh
        if best is not None:
            self._ready.remove(best)
        return best

    def _hand_over(self, task: Task) -> None:
        if task.worker is None:
            task.worker = self._idle.pop() if self._idle else _Worker(self)
            task.worker.task = task
        task.worker.baton.release()
        self._returned.acquire()


def _site(task: Task) -> str:
    thread = task.worker.thread.ident if task.worker is not None else None
    return f", at {site_of(thread)}" if thread is not None else ""
