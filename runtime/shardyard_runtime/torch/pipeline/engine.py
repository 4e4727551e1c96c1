"""Module servers: during a step each rank runs the modules that it owns, whoever calls them.

Rank 0 of a pipeline group runs the user's function once a microbatch; the others serve until the step ends.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from shardyard_runtime.comm.torch_mpi import MpiTransport
from shardyard_runtime.torch.pipeline import errors
from shardyard_runtime.torch.pipeline.messages import (
    Abandoned,
    Backward,
    BackwardDone,
    CallId,
    Ended,
    Execute,
    Executed,
    Failed,
)
from shardyard_runtime.torch.pipeline.remote import RemoteCall
from shardyard_runtime.torch.pipeline.scheduler import Phase, Scheduler, Task
from shardyard_runtime.torch.pipeline.serve import Served, serve

_KEY = "engine"


class Engine:
    """The pipeline of one rank. ``peers`` are the global ranks of its pipeline group, in pipeline order."""

    def __init__(
        self, transport: MpiTransport, peers: tuple[int, ...], pipeline: str, active_microbatches: int
    ) -> None:
        self._transport = transport
        self._peers = peers
        self._active_microbatches = active_microbatches
        self._simple = pipeline == "simple"
        self._scheduler = Scheduler(pipeline)
        self._modules: dict[str, nn.Module] = {}
        self._counter = itertools.count()
        self._step = 0
        self._lock = threading.Lock()
        self._early: list[tuple[int, Any]] = []
        self._running = False
        self._waiting: dict[CallId, Task] = {}
        self._served: dict[CallId, Served] = {}
        self._outcome: Ended | Abandoned | None = None
        self._own_error: BaseException | None = None
        self._live: set[int] = set()
        self._parked: list[Task] = []
        self.max_live = 0
        self.ran_backward = False
        transport.handle(_KEY, self._on_message, self._scheduler.fail)

    @property
    def leads(self) -> bool:
        """True on the rank that runs the user's function."""
        return self._peers[0] == self._transport.rank

    @property
    def in_step(self) -> bool:
        """True on a thread that runs a call of the current step."""
        return self._running and getattr(self._scheduler.current, "task", None) is not None

    def own(self, modules: dict[str, nn.Module]) -> None:
        """The modules that this rank runs for others, by path."""
        self._modules = modules

    # -- one step ---------------------------------------------------------------------------------------------

    def lead(self, prepare: Callable[[], list[Callable[[], Any]]]) -> tuple[list[Any], bool]:
        """Runs one body a microbatch; returns their results in order, and whether any backward ran.

        What ``prepare`` raises (a batch that does not divide) ends the step on every rank, as a body's error does.
        """
        bodies: list[Callable[[], Any]] = []
        results: list[Any] = []
        pending: Iterator[int] = iter(())
        finished = 0
        exhausted = False

        def body_of(index: int) -> Callable[[], None]:
            def run() -> None:
                nonlocal finished
                results[index] = bodies[index]()
                self._live.discard(index)
                finished += 1

            return run

        def admit() -> Task | None:
            nonlocal exhausted
            if not exhausted and len(self._live) < self._active_microbatches:
                index = next(pending, None)
                if index is not None:
                    self._live.add(index)
                    self.max_live = max(self.max_live, len(self._live))
                    return Task(body_of(index), index, Phase.FORWARD)
                exhausted = True
            self._unpark()
            return None

        with self._step_guarded():
            bodies = prepare()
            results = [None] * len(bodies)
            pending = iter(range(len(bodies)))
            self._scheduler.run(admit, lambda: finished == len(bodies) or self._outcome is not None)
        ended = Ended(self._step, results, self.ran_backward)
        for peer in self._peers[1:]:
            self._transport.send(peer, _KEY, ended)
        self._end()
        return results, self.ran_backward

    def follow(self) -> tuple[Any, bool]:
        """Serves until the leader ends the step; returns the results that it sent, and whether backward ran."""
        with self._step_guarded():
            self._scheduler.run(lambda: None, lambda: self._outcome is not None)
        outcome = self._outcome
        assert isinstance(outcome, Ended)
        self._end()
        return outcome.result, outcome.ran_backward

    def park(self) -> None:
        """Called by a microbatch at ``model.backward``; with ``simple``, forwards that can run go first."""
        task: Task = self._scheduler.current.task
        task.phase = Phase.BACKWARD
        self.ran_backward = True
        if self._simple:
            self._parked.append(self._scheduler.prepare_wait())
            self._scheduler.wait(task)

    def _unpark(self) -> None:
        # Under the scheduler's lock: all microbatches that may be in flight have reached their backward.
        if self._parked and len(self._parked) == len(self._live):
            parked, self._parked = self._parked, []
            for task in parked:
                self._scheduler.wake(task, None)

    @contextlib.contextmanager
    def _step_guarded(self) -> Iterator[None]:
        """Opens a step; whatever fails inside reaches the other ranks before it is raised here."""
        self._begin()
        with self._transport.listening():
            try:
                yield
            except Exception as error:
                self._scheduler.fail(error)
            self._close()

    def _begin(self) -> None:
        with self._lock:
            self._step += 1
            self._outcome = None
            self._own_error = None
            self.ran_backward = False
            self._running = True
            early, self._early = self._early, []
        for source, message in early:
            self._on_message(source, message)

    def _end(self) -> None:
        with self._lock:
            self._running = False
        self._waiting.clear()
        self._served.clear()
        self._live.clear()
        self._parked.clear()

    def _close(self) -> None:
        """Leaves a failed step: tells the others, unwinds what is in progress, raises the root cause known here."""
        error = self._scheduler.error
        if error is None and not isinstance(self._outcome, Abandoned):
            return
        with self._lock:  # from here on nothing of this step is taken: it would run in the next one
            self._running = False
        self._scheduler.abandon()
        outcome = self._outcome
        if error is not None:
            summary = f"{type(error).__name__}: {error}"
            origin = self._transport.rank
            for peer in self._peers:
                if peer != self._transport.rank:
                    self._transport.send(peer, _KEY, Abandoned(self._step, origin, summary))
        self._end()
        if self._own_error is not None and not self.leads:
            raise self._own_error
        if error is not None:
            raise error
        assert isinstance(outcome, Abandoned)
        raise errors.PeerFailed(f"rank {outcome.origin} abandoned the step: {outcome.summary}")

    # -- caller's side ----------------------------------------------------------------------------------------

    def execute(self, call: RemoteCall, tensors: list[torch.Tensor], needs_grad: list[bool]) -> Executed:
        """Asks the owner to run the module and waits for its outputs."""
        task = self._scheduler.prepare_wait()
        call.microbatch = task.microbatch
        call_id = self._expect(task)
        message = Execute(
            self._step, call_id, call.path, task.microbatch, call.structure, tensors, needs_grad, call.context
        )
        self._transport.send(self._peers[call.owner], _KEY, message)
        answer = self._answer(task)
        assert isinstance(answer, Executed)
        call.answer = answer
        return answer

    def backward(self, call: RemoteCall, gradients: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Asks the owner to continue the backward of a call and waits for the gradients of its inputs."""
        assert call.answer is not None
        task = self._scheduler.prepare_wait()
        message = Backward(self._step, self._expect(task), call.answer.call, call.microbatch, gradients)
        self._transport.send(self._peers[call.owner], _KEY, message)
        answer = self._answer(task)
        assert isinstance(answer, BackwardDone)
        return answer.gradients

    def _expect(self, task: Task) -> CallId:
        call_id = (self._transport.rank, next(self._counter))
        self._waiting[call_id] = task
        return call_id

    def _answer(self, task: Task) -> Any:
        answer = self._scheduler.wait(task)
        if isinstance(answer, Failed):
            raise errors.arrived(answer.error, answer.summary, answer.traceback)
        return answer

    # -- owner's side -----------------------------------------------------------------------------------------

    def _on_message(self, source: int, message: Any) -> None:
        """On the communication thread: turns messages into ready tasks."""
        with self._lock:
            if message.step > self._step:
                self._early.append((source, message))
            elif message.step == self._step and self._running:
                self._take(source, message)

    def _take(self, source: int, message: Any) -> None:
        if isinstance(message, Execute):
            self._scheduler.spawn(lambda: self._run(source, message), message.microbatch, Phase.FORWARD)
        elif isinstance(message, Backward):
            self._scheduler.spawn(
                lambda: self._run_backward(source, message), message.microbatch, Phase.BACKWARD
            )
        elif isinstance(message, Executed | BackwardDone | Failed):
            self._scheduler.wake(self._waiting.pop(message.call), message)
        else:
            self._outcome = message
            self._scheduler.notify()

    def _run(self, source: int, message: Execute) -> None:
        try:
            with message.context.restored(), torch.autograd.set_multithreading_enabled(False):
                structure, served = serve(
                    self._modules[message.path],
                    message.path,
                    message.structure,
                    message.tensors,
                    message.needs_grad,
                )
        except Exception as error:
            self._refuse(source, message.call, error)
            return
        if message.context.grad:
            self._served[message.call] = served
        needs_grad = [bool(o.requires_grad) for o in served.outputs]
        answer = Executed(
            self._step, message.call, structure, [o.detach() for o in served.outputs], needs_grad
        )
        self._transport.send(source, _KEY, answer)

    def _run_backward(self, source: int, message: Backward) -> None:
        try:
            with torch.autograd.set_multithreading_enabled(False):
                gradients = self._served.pop(message.owner_call).backward(message.gradients)
        except Exception as error:
            self._refuse(source, message.call, error)
            return
        self._transport.send(source, _KEY, BackwardDone(self._step, message.call, gradients))

    def _refuse(self, source: int, call: CallId, error: Exception) -> None:
        if self._own_error is None and not getattr(error, "shardyard_follow_up", False):
            self._own_error = error
        failed = Failed(
            self._step,
            call,
            errors.portable(error),
            f"{type(error).__name__}: {error}",
            f"on rank {self._transport.rank}:\n{errors.formatted(error)}",
        )
        self._transport.send(source, _KEY, failed)
