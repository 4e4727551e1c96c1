"""What replicas tell each other at the end of a step: which gradients there are, and whether anything failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shardyard_runtime.torch.data_parallel.replicas import members, peers, several
from shardyard_runtime.torch.pipeline.errors import PeerFailed
from shardyard_runtime.torch.state import state

_KEY = "the end of its step"


@dataclass
class Said:
    """Parameters by their places among those of the rank; ``number`` counts the exchanges.

    ``present`` says which parameters have a gradient, None without a backward; ``new`` are those of them that are in
    no bucket yet, in the order in which they arrived, ``late`` those whose gradient grew after their bucket had left.
    ``launched`` is the number of buckets that have left.
    """

    present: list[bool] | None
    new: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    launched: int = 0
    joined: bool = False  # it has no batches left, see joining.py
    failure: str | None = None
    number: int = 0


@dataclass(frozen=True)
class Agreed:
    """The same of all replicas: a gradient is present, new or late where it is on any of them.

    ``launched`` is that of the one that is farthest, ``training`` the number of those that have batches left.
    """

    present: list[bool] | None
    new: list[int]
    late: list[int]
    launched: int
    training: int

    @classmethod
    def of(cls, said: list[Said]) -> Agreed:
        """What all of them come to, given in one order on each replica."""
        columns = [one.present for one in said if one.present is not None]
        return cls(
            [any(column) for column in zip(*columns, strict=True)] if columns else None,
            list(dict.fromkeys(place for one in said for place in one.new)),
            sorted({place for one in said for place in one.late}),
            max(one.launched for one in said),
            sum(not one.joined for one in said),
        )


class Exchange:
    """The exchanges of one model's replicas."""

    def __init__(self) -> None:
        self._count = 0

    def agree(self, mine: Said) -> Agreed:
        """Collective over the replicas, without a barrier: nobody waits for one that has said its part.

        Raises PeerFailed when another replica abandoned this step.
        """
        self._tell(mine)
        return Agreed.of([mine if rank == state.live.rank else self._heard(rank) for rank in members()])

    def abandon(self, error: Exception) -> None:
        """Tells the other replicas that this one has no gradients, or they would wait for them."""
        if several():
            self._tell(Said(None, failure=f"{type(error).__name__}: {error}"))

    def _tell(self, mine: Said) -> None:
        self._count += 1
        mine.number = self._count
        for peer in peers():
            state.live.transport.send(peer, _KEY, mine)

    def _heard(self, peer: int) -> Said:
        heard = self._next(peer)
        if heard.failure is not None:
            raise PeerFailed(f"the replica of rank {peer} abandoned the step: {heard.failure}")
        if heard.number != self._count:
            raise RuntimeError(
                f"rank {peer} averages the gradients of its step {heard.number}, rank {state.live.rank} those "
                f"of {self._count}: every replica must make the same number of steps with a backward. "
                "Give each the same number of batches (drop_last=True, or a DistributedSampler), or train "
                "in model.join()"
            )
        return heard

    def _next(self, peer: int) -> Said:
        while True:
            heard: Any = state.live.transport.receive(peer, _KEY)
            if heard.number >= self._count:  # an earlier one answers a step that was abandoned here
                return heard  # type: ignore[no-any-return]
