"""The ranks of a pipeline follow one plan, or none: the leader says which when a step begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any

from shardyard_runtime.torch.pipeline.messages import Begin, LeftPlan, Recorded
from shardyard_runtime.torch.pipeline.planned.course import Course
from shardyard_runtime.torch.pipeline.planned.planner import Planner, RankPlan, StepPlan
from shardyard_runtime.torch.pipeline.planned.slices import Record

_KEPT = 8  # plans that a rank keeps, the same ones on each


class Agreement:
    """One rank's part in it. ``peers`` are the ranks of the pipeline, the leader first; ``changed`` wakes the scheduler.

    The leader plans where it has a ``planner``. With SHARDYARD_PLAN=0 there, every step is in the order of arrival.
    """

    def __init__(
        self,
        rank: int,
        peers: tuple[int, ...],
        post: Callable[[int, Any], None],
        changed: Callable[[], None],
    ) -> None:
        self._rank, self._peers, self._post, self._changed = rank, peers, post, changed
        self.course = Course({peer: index for index, peer in enumerate(peers)}, self._leave)
        self._step = 0
        self._key: Hashable = None
        self._number: int | None = None  # of the step's plan
        self._records: dict[int, Record | None] = {}  # on the leader of a recorded step, by rank
        self.recorded = False  # whether this step is
        self._kept: dict[int, RankPlan | None] = {}
        self.planner: Planner | None = None
        self.plan: StepPlan | None = None  # on the leader, the one that this step began with

    def begin(self, step: int) -> None:
        """On each rank, before anything of the step is taken in."""
        self._step, self.recorded = step, False
        if len(self._peers) > 1:
            self.course.expect()

    # -- the leader --------------------------------------------------------------------------------------------

    def lead(self, key: Hashable) -> None:
        """Steps with equal keys probably go the same way; of one without a key nothing is known."""
        if len(self._peers) == 1:
            return
        planner = self.planner if key is not None and os.environ.get("SHARDYARD_PLAN", "1") != "0" else None
        self.plan = planner.plan(key) if planner else None
        self._key, self._records = key, {}
        self.recorded = planner is not None and planner.learns(key)
        self._number = None if self.plan is None else self.plan.number
        new = self.plan is not None and self._number not in self._kept
        for index, peer in enumerate(self._peers):
            part = self.plan.ranks[index] if self.plan is not None and new else None
            begin = Begin(self._step, self._number, part, self.recorded)
            self._began(begin) if peer == self._rank else self._post(peer, begin)

    def complete(self) -> bool:
        """Whether all ranks have said what they did, where they were to."""
        return not self.recorded or len(self._records) == len(self._peers) - 1

    def learn(self) -> None:
        """Once :meth:`complete`: makes a plan for steps like this one."""
        records = [self.course.record(), *(self._records[peer] for peer in self._peers[1:] if self.recorded)]
        whole = [record for record in records if record is not None]
        if self.recorded and self.planner is not None and len(whole) == len(records):
            self.planner.learn(self._key, whole)

    # -- the others --------------------------------------------------------------------------------------------

    def report(self) -> None:
        """When the step is over: what this rank did in it."""
        if self.recorded:
            self._post(self._peers[0], Recorded(self._step, self.course.record()))

    # -- messages, on the communication thread -----------------------------------------------------------------

    def take(self, source: int, message: Begin | LeftPlan | Recorded) -> None:
        if isinstance(message, Begin):
            self._began(message)
        elif isinstance(message, Recorded):
            self._records[source] = message.record
        else:
            self.forget(message)
            self.course.drop()
        self._changed()

    def forget(self, message: LeftPlan) -> None:
        """All that is left to do where the step is over by then."""
        if self.planner is not None:
            self.planner.left(message.number)

    def _began(self, message: Begin) -> None:
        self._number, self.recorded = message.number, message.records
        if message.number is not None and message.number not in self._kept:
            self._kept[message.number] = message.plan
            if len(self._kept) > _KEPT:
                del self._kept[min(self._kept)]
        plan = None if message.number is None else self._kept[message.number]
        self.course.begin(plan, message.records)
        if message.number is not None and plan is None:
            self._leave()  # what came with an earlier step that this rank had left by then

    def _leave(self) -> None:
        assert self._number is not None
        if self.planner is not None:
            self.planner.left(self._number)
        for peer in self._peers:
            if peer != self._rank:
                self._post(peer, LeftPlan(self._step, self._number))
        self._changed()
