"""A pipeline whose ranks are threads of one process: the engine's own code, messages in queues instead of MPI."""

from __future__ import annotations

import contextlib
import copy
import queue
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from shardyard_runtime.comm.waits import Waits
from shardyard_runtime.torch.pipeline.engine import Engine
from shardyard_runtime.torch.pipeline.intercept import intercept
from shardyard_runtime.torch.pipeline.planned.planner import StepPlan
from shardyard_runtime.torch.pipeline.schedule.workload import RankCost
from shardyard_runtime.torch.pipeline.scheduler import Task

Function = Callable[["Rank", Any], Any]


class Wire:
    """One rank's transport. ``inboxes`` are those of all ranks; messages take a while that ``dice`` decide."""

    def __init__(self, rank: int, inboxes: Sequence[queue.SimpleQueue[Any]], dice: random.Random) -> None:
        self.rank, self._inboxes, self._dice = rank, inboxes, dice
        self._handlers: dict[Any, Any] = {}
        self.waits = Waits()
        threading.Thread(target=self._deliver, daemon=True).start()

    def enter_thread(self) -> None: ...

    def handle(self, key: Any, handler: Any, broken: Any) -> None:
        self._handlers[key] = handler

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        yield

    def send(self, dest: int, key: Any, obj: Any) -> None:
        self._inboxes[dest].put((self.rank, key, obj))

    def _deliver(self) -> None:
        while (message := self._inboxes[self.rank].get()) is not None:
            source, key, obj = message
            time.sleep(self._dice.choice((0.0, 0.0, 0.0005)))
            self._handlers[key](source, obj)


class Rank:
    """One rank: its copy of the model, its engine, and the tasks that it ran, one entry a slice."""

    def __init__(
        self, wire: Wire, model: nn.Module, owner: dict[str, int], pipeline: str, active: int
    ) -> None:
        peers = tuple(range(max(owner.values()) + 1))
        self.model: Any = copy.deepcopy(model)
        self.engine = Engine(wire, peers, pipeline, active, torch.device("cpu"), 0)  # type: ignore[arg-type]
        self.engine.own(dict(self.model.named_modules()), owner, [RankCost()] * len(peers))
        for path, module in self.model.named_modules():
            intercept(self.engine, module, path, owner[path], owner[path] == wire.rank)
        self.owned = [
            name for name, _ in self.model.named_parameters() if owner[name.rpartition(".")[0]] == wire.rank
        ]
        self.ran: list[Any] = []
        scheduler = self.engine._scheduler
        hand_over = scheduler._hand_over

        def watched(task: Task) -> None:
            if not task.settling:
                self.ran.append(task.identity)
            hand_over(task)

        scheduler._hand_over = watched  # type: ignore[method-assign]

    def backward(self, loss: torch.Tensor) -> None:
        one = torch.ones_like(loss)
        self.engine.park()
        with torch.autograd.set_multithreading_enabled(False), torch._C.DisableTorchFunctionSubclass():
            torch.autograd.backward([loss], [one])


class Pipeline:
    """All ranks. ``owner`` is the partition of each module's path."""

    def __init__(self, model: nn.Module, owner: dict[str, int], pipeline: str, active: int) -> None:
        self._inboxes: list[queue.SimpleQueue[Any]] = [
            queue.SimpleQueue() for _ in range(max(owner.values()) + 1)
        ]
        wires = [Wire(rank, self._inboxes, random.Random(rank)) for rank in range(len(self._inboxes))]
        self.ranks = [Rank(wire, model, owner, pipeline, active) for wire in wires]

    def step(self, function: Function, batches: Sequence[Any], key: Hashable = "step") -> list[Any]:
        """Runs ``function(leader, batch)`` once a microbatch; raises what a rank raised."""
        failed: list[BaseException] = []

        def follow(rank: Rank) -> None:
            try:
                rank.engine.follow()
            except Exception as error:
                failed.append(error)

        for rank in self.ranks:
            rank.ran.clear()
        threads = [threading.Thread(target=follow, args=[rank], daemon=True) for rank in self.ranks[1:]]
        for thread in threads:
            thread.start()
        leader = self.ranks[0]
        try:
            return leader.engine.lead(lambda: [lambda b=b: function(leader, b) for b in batches], key)[0]  # type: ignore[misc]
        finally:
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive(), "a rank is still in the step"
            if failed:
                raise failed[0]

    def gradients(self) -> dict[str, torch.Tensor | None]:
        return {name: rank.model.get_parameter(name).grad for rank in self.ranks for name in rank.owned}

    @property
    def plan(self) -> StepPlan | None:
        """The one that the last step began with."""
        return self.ranks[0].engine._agreement.plan

    def followed(self) -> bool:
        """Whether each rank ran its plan's tasks in order, and only such that nothing waits for beside them."""
        assert self.plan is not None
        return all(
            [name for name in rank.ran if name in part.slices] == list(part.order)
            for rank, part in zip(self.ranks, self.plan.ranks, strict=True)
        ) and all(rank.engine._agreement.course.follows for rank in self.ranks)

    def forget(self) -> None:
        for rank in self.ranks:
            rank.model.zero_grad(set_to_none=True)

    def close(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)
