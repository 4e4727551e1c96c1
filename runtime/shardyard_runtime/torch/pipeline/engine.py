"""Module servers: during a step each rank runs the modules that it owns, whoever calls them.

Rank 0 of a pipeline group runs the user's function once a microbatch; the others serve until the step ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from shardyard_runtime.comm.torch_codec import flatten, unflatten
from shardyard_runtime.comm.transport import Transport
from shardyard_runtime.torch.pipeline import errors
from shardyard_runtime.torch.pipeline.caller import Caller
from shardyard_runtime.torch.pipeline.foresight import Foresight
from shardyard_runtime.torch.pipeline.live import Live
from shardyard_runtime.torch.pipeline.log import Log
from shardyard_runtime.torch.pipeline.messages import (
    Abandoned,
    Backward,
    BackwardDone,
    Begin,
    Ended,
    Execute,
    Executed,
    Failed,
    Give,
    Given,
    LeftPlan,
    MicrobatchDone,
    Recorded,
)
from shardyard_runtime.torch.pipeline.offload import Offload
from shardyard_runtime.torch.pipeline.owner import Owner
from shardyard_runtime.torch.pipeline.parts import Parts
from shardyard_runtime.torch.pipeline.planned.agreement import Agreement
from shardyard_runtime.torch.pipeline.planned.planner import Planner
from shardyard_runtime.torch.pipeline.randomness import Streams, seed_of
from shardyard_runtime.torch.pipeline.recompute import Recompute
from shardyard_runtime.torch.pipeline.recorded import RecordedScheduler, RecordedTransport
from shardyard_runtime.torch.pipeline.remote import call_modules
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, current, fetched
from shardyard_runtime.torch.pipeline.schedule.workload import RankCost
from shardyard_runtime.torch.pipeline.scheduler import Phase, Scheduler, Task
from shardyard_runtime.torch.timeline.recorder import Recorder

_KEY = "engine"


class Engine:
    """The pipeline of one rank. ``peers`` are the global ranks of its pipeline group, in pipeline order.

    ``one_order`` are those of its data-parallel group where all of it is to run calls in one order.
    """

    def __init__(
        self,
        transport: Transport,
        peers: tuple[int, ...],
        pipeline: str,
        active_microbatches: int,
        device: torch.device,
        replica: int,
        one_order: tuple[int, ...] = (),
        loading_horizon: int | None = None,  # with one, activations of checkpointed regions wait on the host
        recorder: Recorder | None = None,
    ) -> None:
        if recorder is not None:
            transport = RecordedTransport(transport, recorder)
        self._transport = transport
        self._recorder = recorder
        self._peers = peers
        self._active_microbatches = active_microbatches
        self._pipeline = pipeline
        self.streams = Streams(device)
        self._log = Log(transport, one_order) if len(one_order) > 1 else None
        self._agreement = Agreement(transport.rank, peers, self._post, lambda: self._scheduler.notify())
        course = self._agreement.course
        scheduler = Scheduler if recorder is None else partial(RecordedScheduler, recorder)
        self._scheduler = scheduler(
            pipeline, self.streams, transport.enter_thread, self._waiting, self._log, course
        )
        self._replica = replica
        if self._log is not None:
            self._log.listen(self._scheduler)
        self._step = 0
        offload = None if loading_horizon is None else Offload(device, loading_horizon, self._microbatch)
        self.recompute = Recompute(self.streams, offload)
        parts = Parts(
            transport.rank, device, self._scheduler, course, self.streams, self._post, self.recompute
        )
        self._store, self._lock = parts.store, parts.lock
        self._caller = Caller(parts)
        self._owner = Owner(parts, self._caller)
        self._modules: list[nn.Module] = []
        self._early: list[tuple[int, Any]] = []
        self._running = False
        self._outcome: Ended | Abandoned | None = None
        self._live = Live(active_microbatches)
        self._parked: list[Task] = []
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

    @property
    def max_live(self) -> int:
        """The most microbatches that were worked on here at once."""
        return self._live.peak

    def _microbatch(self) -> int:
        """The one that this thread works for; -1 outside of a step."""
        return self._scheduler.current.task.microbatch if self.in_step else -1

    def own(self, modules: dict[str, nn.Module], owner: dict[str, int], costs: Sequence[RankCost]) -> None:
        """All modules by path, the partition that owns each, and what partitions cost: this rank runs its own for the others."""
        follows_others = self._log is not None and self._log.leader != self._transport.rank
        if self.leads and not follows_others:
            self._agreement.planner = Planner(self._pipeline, self._active_microbatches, costs)
        mine = self._peers.index(self._transport.rank)
        self._owner.modules = {path: module for path, module in modules.items() if owner[path] == mine}
        self._modules = list(modules.values())
        self._caller.foresight = Foresight()
        self._caller.containers = frozenset(
            path
            for path, module in modules.items()
            for below, _ in module.named_modules(remove_duplicate=False)
            if owner[f"{path}.{below}".strip(".")] != owner[path]
        )

    @property
    def clean(self) -> bool:
        """True when nothing is kept of any step; messages of the next one may have arrived."""
        ahead = all(message.step > self._step for _, message in self._early)
        return self._owner.idle and self._caller.idle and not len(self._store) and not self._live and ahead

    # -- one step ---------------------------------------------------------------------------------------------

    def lead(
        self, prepare: Callable[[], list[Callable[[], Any]]], key: Hashable = None
    ) -> tuple[list[Any], bool]:
        """Runs one body a microbatch; returns their results in order, and whether any backward ran.

        Steps with equal keys, in equal modes, probably make the same calls; without one nothing is known of that.
        What ``prepare`` raises (a batch that does not divide) ends the step on every rank, as a body's error does.
        """
        bodies: list[Callable[[], Any]] = []
        results: list[Any] = []
        pending: Iterator[int] = iter(())
        finished = 0
        exhausted = False
        alone = False
        seed = torch.initial_seed()

        def body_of(index: int) -> Callable[[], None]:
            def run() -> None:
                nonlocal finished
                self.streams.seed(seed_of(seed, self._step, index, self._replica))
                results[index] = self._delivered(bodies[index]())
                self._caller.settle()
                self._caller.check(index)
                self._finish(index)
                finished += 1

            return run

        def admit() -> Task | None:
            nonlocal exhausted
            full = self._live.full or (alone and len(self._live) > 0)
            if not exhausted and not full:
                index = next(pending, None)
                if index is not None:
                    self._live.enter(index)
                    return Task(body_of(index), index, Phase.FORWARD)
                exhausted = True
            self._unpark()
            return None

        with self._step_guarded():
            with self._lock:
                self._agreement.lead(None if key is None else (self._caller.foresight.mode, key))
            if self._recorder is not None and self._agreement.plan is not None:
                self._recorder.plans(self._agreement.plan.timed)
            # Before there is a plan, so that gradients add up in the order of microbatches.
            alone = self._agreement.recorded and torch.are_deterministic_algorithms_enabled()
            bodies = prepare()
            results = [None] * len(bodies)
            pending = iter(range(len(bodies)))
            self._scheduler.run(admit, lambda: finished == len(bodies) or self._outcome is not None)
            if self._scheduler.error is None and self._outcome is None:
                self._ended(Ended(self._step, results, self.ran_backward))
        self._end()
        return results, self.ran_backward

    def _ended(self, ended: Ended) -> None:
        for peer in self._peers[1:]:
            self._post(peer, ended)
        self._scheduler.run(lambda: None, lambda: self._agreement.complete() or self._outcome is not None)
        if self._outcome is None:
            self._agreement.learn()

    def follow(self) -> tuple[Any, bool]:
        """Serves until the leader ends the step; returns the results that it sent, and whether backward ran."""
        with self._step_guarded():
            self._scheduler.run(lambda: None, lambda: self._outcome is not None)
            if isinstance(self._outcome, Ended):
                self._agreement.report()
        outcome = self._outcome
        assert isinstance(outcome, Ended)
        self._end()
        return outcome.result, outcome.ran_backward

    def _delivered(self, result: Any) -> Any:
        """A microbatch's result with the bytes of its remote tensors."""
        if len(self._peers) == 1:
            return result
        structure, tensors = flatten(result)
        with torch.no_grad():
            here = [current(t) for t in tensors]
            return unflatten(structure, [fetched(t) if isinstance(t, RemoteTensor) else t for t in here])

    def _finish(self, microbatch: int) -> None:
        with self._lock:
            self._close_microbatch(microbatch)
        for peer in self._peers[1:]:
            self._post(peer, MicrobatchDone(self._step, microbatch))

    def park(self) -> None:
        """Called by a microbatch at ``model.backward``; with ``simple``, forwards that can run go first."""
        task: Task = self._scheduler.current.task
        self._scheduler.turn(task)
        self.ran_backward = True
        if self.recompute.offload is not None:
            self.recompute.offload.expect(task.microbatch)
        if self._pipeline == "simple":
            self._scheduler.prepare_wait(lambda: "the forwards of other microbatches")
            if self._scheduler.order is None:
                self._parked.append(task)
            else:  # which says when it goes on
                self._scheduler.wake(task, None)
            self._scheduler.wait(task)

    def _unpark(self) -> None:
        # Under the scheduler's lock: all microbatches that may be in flight have reached their backward.
        if self._parked and len(self._parked) == len(self._live):
            parked, self._parked = self._parked, []
            for task in parked:
                self._scheduler.wake(task, None)

    def _waiting(self, unmet: Callable[[], bool]) -> contextlib.AbstractContextManager[None]:
        others = {*self._peers, *([] if self._log is None else [self._log.leader])} - {self._transport.rank}
        return self._transport.waits.waiting(tuple(others), self._awaited, unmet)

    def _awaited(self) -> list[str]:
        """What this rank waits for when none of its calls can go on."""
        calls = self._scheduler.blocked() + self._store.awaiting()
        return [f"step {self._step}, {call}" for call in calls or ["calls of its modules, or the step's end"]]

    @contextlib.contextmanager
    def _step_guarded(self) -> Iterator[None]:
        """Opens a step; whatever fails inside reaches the other ranks before it is raised here."""
        self._begin()
        saved = self.streams.save()
        with self._transport.listening():
            try:
                yield
            except Exception as error:
                self._scheduler.fail(error)
            try:
                self._close()
            finally:
                self.streams.restore(saved)

    def _begin(self) -> None:
        with self._lock:
            self._step += 1
            if self._log is not None:
                self._log.begin(self._step)
            self._outcome = None
            self._owner.own_error = None
            self._caller.begin(self._step)
            self._agreement.begin(self._step)
            self._caller.foresight.mode = hash(tuple(module.training for module in self._modules))
            self.ran_backward = False
            self._running = True
            # Before anything that arrives from now on: the order of a rank's messages holds.
            early, self._early = self._early, []
            for source, message in early:
                self._sort_in(source, message)

    def _end(self) -> None:
        with self._lock:  # from here on nothing of this step is taken: it would run in the next one
            self._running = False
            self._outcome = None  # it holds the step's results
        if self._log is not None:
            self._log.end()
        self._scheduler.abandon()
        with self._lock:
            self._store.clear()
        self._caller.clear()
        self._owner.clear()
        self._live.clear()
        self._parked.clear()

    def _close(self) -> None:
        """Leaves a failed step: unwinds what is in progress, tells the others, raises the root cause known here."""
        error, outcome, own_error = self._scheduler.error, self._outcome, self._owner.own_error
        if error is None and not isinstance(outcome, Abandoned):
            return
        self._end()
        if error is not None:
            summary = f"{type(error).__name__}: {error}"
            for peer in self._peers:
                if peer != self._transport.rank:
                    self._post(peer, Abandoned(self._step, self._transport.rank, summary))
        if own_error is not None and not self.leads:
            raise own_error
        if error is not None:
            raise error
        assert isinstance(outcome, Abandoned)
        raise errors.PeerFailed(f"rank {outcome.origin} abandoned the step: {outcome.summary}")

    # -- messages ---------------------------------------------------------------------------------------------

    def call(
        self,
        modules: Sequence[tuple[str, int]],
        partition: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        recompute: bool = False,
    ) -> Any:
        """Runs modules that ``partition`` owns, paths with seeds, in a row; the outputs are remote tensors."""
        return call_modules(self._caller, modules, self._peers[partition], args, kwargs, recompute)

    def _post(self, dest: int, message: Any) -> None:
        self._transport.send(dest, _KEY, message)

    def _on_message(self, source: int, message: Any) -> None:
        """On the communication thread: turns messages into ready tasks."""
        with self._lock:
            self._sort_in(source, message)

    def _sort_in(self, source: int, message: Any) -> None:
        if message.step > self._step:
            self._early.append((source, message))
        elif message.step == self._step and self._running:
            self._take(source, message)
        elif isinstance(message, LeftPlan):
            self._agreement.forget(message)

    def _take(self, source: int, message: Any) -> None:
        if isinstance(message, Execute | Backward | Give | Given):
            microbatch = message.microbatch
            if self._store.closed(microbatch) or self._live.enter(microbatch):
                self._owner.take(source, message)
            else:
                self._live.hold(microbatch, source, message)
        elif isinstance(message, Executed | BackwardDone | Failed):
            self._caller.answered(message)
        elif isinstance(message, MicrobatchDone):
            self._close_microbatch(message.microbatch)
        elif isinstance(message, Begin | LeftPlan | Recorded):
            self._agreement.take(source, message)
        else:
            self._outcome = message
            self._scheduler.notify()

    def _close_microbatch(self, microbatch: int) -> None:
        self._store.close(microbatch)
        self._owner.close(microbatch)
        self._caller.close(microbatch)
        for source, message in self._live.leave(microbatch):
            self._owner.take(source, message)
