"""One running call at a time: tasks on pooled threads, strict hand-off, a pick rule.

The main thread picks a ready task, hands it the baton and waits until the task blocks, parks or ends. So user
code needs no locks, and what runs next is decided in one place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from shardyard_runtime.torch.pipeline.randomness import Streams

_BOUND = float(os.environ.get("SHARDYARD_COMM_TIMEOUT", "1800"))


class Phase(IntEnum):
    FORWARD = 0
    BACKWARD = 1


class StepAbandoned(BaseException):
    """Unwinds a task whose step has failed elsewhere; never reaches user code's ``except Exception``."""


class Task:
    """A call in progress. ``wait`` is called by the task itself, ``value`` is what wakes it."""

    def __init__(self, body: Callable[[], None], microbatch: int, phase: Phase) -> None:
        self.body = body
        self.microbatch = microbatch
        self.phase = phase
        self.value: Any = None
        self.abandoned = False
        self.worker: _Worker | None = None


class _Worker:
    """A thread that runs tasks one after another; reused across steps."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.baton = threading.Semaphore(0)
        self.task: Task | None = None
        threading.Thread(target=self._loop, name="shardyard-task", daemon=True).start()

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
            self.task = None
            self._scheduler.release(self, task)


class Scheduler:
    """Runs tasks by a pick rule: ``interleaved`` takes a ready backward first, ``simple`` a ready forward.

    ``enter_thread`` is called once on each thread that runs tasks: the current GPU is a thread's own.
    """

    def __init__(self, pipeline: str, streams: Streams, enter_thread: Callable[[], None]) -> None:
        self._streams = streams
        self.enter_thread = enter_thread
        self._backward_first = pipeline != "simple"
        self.current = threading.local()
        self._idle: list[_Worker] = []
        self._returned = threading.Semaphore(0)
        self._changed = threading.Condition()
        self._ready: list[Task] = []
        self._blocked: set[Task] = set()
        self.error: BaseException | None = None

    def spawn(self, body: Callable[[], None], microbatch: int, phase: Phase) -> None:
        """Adds a call; any thread may do so."""
        with self._changed:
            self._ready.append(Task(body, microbatch, phase))
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

    def prepare_wait(self) -> Task:
        """Called by a running task before it sends what will be answered: an answer may come at once."""
        task: Task = self.current.task
        if task.abandoned:
            raise StepAbandoned
        with self._changed:
            self._blocked.add(task)
        return task

    def wait(self, task: Task) -> Any:
        """Hands the baton back until :meth:`wake`; raises StepAbandoned when the step has failed."""
        assert task.worker is not None
        saved = self._streams.save()  # random numbers are drawn from a generator of the process
        self._returned.release()
        task.worker.baton.acquire()
        self._streams.restore(saved)
        if task.abandoned:
            raise StepAbandoned
        return task.value

    def release(self, worker: _Worker, task: Task) -> None:
        with self._changed:  # a task that failed between prepare_wait and wait waits for nothing any more
            self._blocked.discard(task)
            if task in self._ready:
                self._ready.remove(task)
        self._idle.append(worker)
        self._returned.release()

    def run(self, admit: Callable[[], Task | None], ended: Callable[[], bool]) -> None:
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
                    # Offering may itself have made parked calls ready.
                    if task is None and not self._ready and not self._changed.wait(_BOUND):
                        raise TimeoutError(
                            f"no call of this step could go on for {_BOUND:.0f} s: {len(self._blocked)} wait for "
                            "answers of other ranks. Check that every rank calls the same step function; "
                            "SHARDYARD_COMM_TIMEOUT sets the bound in seconds"
                        )
            self._hand_over(task)

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

    def _pick(self, admit: Callable[[], Task | None]) -> Task | None:
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
