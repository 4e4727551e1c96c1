"""What replicas tell each other at the end of a step: which gradients there are, and whether anything failed."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard_runtime.torch.data_parallel.replicas import peers, several
from shardyard_runtime.torch.pipeline.errors import PeerFailed
from shardyard_runtime.torch.state import state

_KEY = "the end of its step"


@dataclass
class Said:
    """``number`` counts the exchanges; ``present`` says which parameters have a gradient, None without a backward."""

    number: int
    present: list[bool] | None
    joined: bool = False  # it has no batches left, see joining.py
    failure: str | None = None


@dataclass(frozen=True)
class Agreed:
    """Which parameters have a gradient on any replica, None when none ran a backward; how many replicas train."""

    present: list[bool] | None
    training: int


class Exchange:
    """The exchanges of one model's replicas."""

    def __init__(self) -> None:
        self._count = 0

    def agree(self, present: list[bool] | None, joined: bool = False) -> Agreed:
        """Collective over the replicas, without a barrier: nobody waits for one that has said its part.

        Raises PeerFailed when another replica abandoned this step.
        """
        said = [self._tell(Said(self._count + 1, present, joined))]
        for peer in peers():
            heard = self._hear(peer)
            if heard.failure is not None:
                raise PeerFailed(f"the replica of rank {peer} abandoned the step: {heard.failure}")
            if heard.number != self._count:
                raise RuntimeError(
                    f"rank {peer} averages the gradients of its step {heard.number}, rank {state.live.rank} those "
                    f"of {self._count}: every replica must make the same number of steps with a backward. "
                    "Give each the same number of batches (drop_last=True, or a DistributedSampler), or train "
                    "in model.join()"
                )
            said.append(heard)
        columns = [one.present for one in said if one.present is not None]
        union = [any(column) for column in zip(*columns, strict=True)] if columns else None
        return Agreed(union, sum(not one.joined for one in said))

    def abandon(self, error: Exception) -> None:
        """Tells the other replicas that this one has no gradients, or they would wait for them."""
        if several():
            self._tell(Said(self._count + 1, None, failure=f"{type(error).__name__}: {error}"))

    def _tell(self, mine: Said) -> Said:
        self._count = mine.number
        for peer in peers():
            state.live.transport.send(peer, _KEY, mine)
        return mine

    def _hear(self, peer: int) -> Said:
        while True:
            heard: Said = state.live.transport.receive(peer, _KEY)
            if heard.number >= self._count:  # an earlier one answers a step that was abandoned here
                return heard
