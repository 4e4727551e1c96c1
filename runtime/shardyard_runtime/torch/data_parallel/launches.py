"""The buckets of a model, and the reductions of them that are under way, in index order on every replica."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from shardyard_runtime.torch.data_parallel.buckets import Bucket, grouped
from shardyard_runtime.torch.data_parallel.exchange import Agreed
from shardyard_runtime.torch.data_parallel.hooks import CommHook, GradBucket
from shardyard_runtime.torch.state import state

Reduction = Callable[[], torch.Tensor]  # waits for the reduced buffer


class Launches:
    """Launches the same buckets in the same order on every replica, in a process group for nothing else.

    Those that are complete during the backward go at once, the rest when replicas have agreed. A step that was
    abandoned may leave reductions that others have not launched: they do when they next agree, and until then nobody
    launches early.
    """

    def __init__(self, cap: float, as_view: bool) -> None:
        self._cap = cap
        self._as_view = as_view
        self._buckets: list[Bucket] = []
        self._index: dict[int, int] = {}  # place of a parameter -> its bucket
        self._outstanding: list[int] = []
        self._under_way: list[tuple[Bucket, Reduction]] = []
        self._early = False
        self._stale = False  # what is under way is of a step that was abandoned
        self.hook: tuple[Any, CommHook] | None = None

    @property
    def count(self) -> int:
        """The number of buckets that have been launched."""
        return len(self._under_way)

    # -- during the backward ----------------------------------------------------------------------------------

    def begin(self, outstanding: Callable[[Sequence[int]], int], early: bool) -> None:
        """A step begins; ``outstanding(places)`` tells how many of these parameters it has to complete."""
        self._outstanding = [outstanding(bucket.places) for bucket in self._buckets]
        # A communication hook may block, and a rank that waits inside a backward cannot agree with others.
        self._early = early and self.hook is None and not self._stale

    def arrived(self, place: int, parameter: nn.Parameter, last: bool) -> None:
        """A gradient was accumulated, the ``last`` one of its parameter in this step or not."""
        index = self._index.get(place)
        if index is None:
            return
        if self._stale or index >= self.count:
            self._buckets[index].adopt(place, parameter)
        self._outstanding[index] -= last
        while self._early and self.count < len(self._buckets) and not self._outstanding[self.count]:
            self._launch(self._buckets[self.count])

    # -- at the end of the step -------------------------------------------------------------------------------

    def taken(self) -> set[int]:
        """Places of the parameters whose gradients have left in buckets."""
        return {place for bucket in self._buckets for place in bucket.taken}

    def planned(self, place: int) -> bool:
        return place in self._index

    def left(self, place: int) -> bool:
        """Whether the parameter's bucket has left in this step, with a gradient of it or without."""
        return not self._stale and self._index.get(place, self.count) < self.count

    def settle(self, launched: int) -> None:
        """After a step that was abandoned: ``launched`` is the number of buckets on the replica that had most."""
        if not self._stale:
            return
        for bucket in self._buckets[self.count : launched]:
            self._launch(bucket, joined=True)
        for _, reduction in self._under_way:
            reduction()
        self._under_way.clear()
        self._stale = False

    def finish(self, parameters: Sequence[nn.Parameter], agreed: Agreed, divisor: int, joined: bool) -> None:
        """Launches the rest, waits, and writes the gradients; who has ``joined`` adds nothing, and keeps its own."""
        present = agreed.present
        assert present is not None
        for run in grouped(parameters, agreed.new, self._cap):
            self._index.update(dict.fromkeys(run, len(self._buckets)))
            self._buckets.append(Bucket(parameters, run, self._as_view))
        rest = [
            bucket
            for index, bucket in enumerate(self._buckets[self.count :], self.count)
            if index < agreed.launched or any(present[place] for place in bucket.places)
        ]
        late = [Bucket(parameters, run, as_view=False) for run in grouped(parameters, agreed.late, self._cap)]
        for bucket in (*rest, *late):
            self._launch(bucket, joined, last=bucket in rest[-1:])
        under_way, self._under_way = self._under_way, []
        for bucket, reduction in under_way:
            reduced = reduction()
            if bucket in late and not joined:
                bucket.add(reduced, divisor)
            elif not joined:
                bucket.give(reduced, 1 if self.hook else divisor, present)

    def give_up(self) -> None:
        """The step was abandoned: gradients are as they were, and what is under way is left to itself."""
        if not self._stale:
            for bucket, _ in self._under_way:
                bucket.give_up()
        self._stale = True

    def _launch(self, bucket: Bucket, joined: bool = False, last: bool = False) -> None:
        if not joined:
            bucket.take()
        buffer = torch.zeros_like(bucket.buffer) if joined else bucket.buffer
        self._under_way.append((bucket, self._reduction(bucket, buffer, last)))

    def _reduction(self, bucket: Bucket, buffer: torch.Tensor, last: bool) -> Reduction:
        if self.hook is not None:
            context, hook = self.hook
            future = hook(context, GradBucket(self._buckets.index(bucket), bucket, buffer, last))
            return lambda: _tensor(future.wait())
        work = dist.all_reduce(buffer, group=state.live.reductions, async_op=True)

        def reduction() -> torch.Tensor:
            work.wait()
            return buffer

        return reduction


def _tensor(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value
