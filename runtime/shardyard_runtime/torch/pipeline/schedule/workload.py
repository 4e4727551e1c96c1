"""What there is to do in a step, in which order, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.pipeline.schedule.tasks import Key, Kind, Task


@dataclass(frozen=True)
class Part:
    """A task of one microbatch: where it runs, what it takes, and after which others of the same microbatch.

    ``holds`` are the bytes that it keeps from its start, ``frees`` those that it lets go at its end.
    """

    rank: int
    seconds: float
    after: tuple[Key, ...] = ()
    holds: int = 0
    frees: int = 0


@dataclass(frozen=True)
class Workload:
    """The parts of each microbatch. ``transfer``: seconds from the end of a part to what needs it on another rank.

    ``room``: bytes that each rank has for what parts hold; empty where that does not matter.
    """

    ranks: int
    microbatches: tuple[Mapping[Key, Part], ...]
    transfer: float = 0.0
    room: tuple[float, ...] = ()

    def part(self, task: Task) -> Part:
        return self.microbatches[task.microbatch][task.key]

    def tasks(self) -> Iterator[tuple[Task, Part]]:
        for index, parts in enumerate(self.microbatches):
            for key, part in parts.items():
                yield Task(*key, index), part


@dataclass(frozen=True)
class RankCost:
    """What a rank does and holds for one microbatch, and the bytes that it has for all of them at once.

    ``forward`` is in any unit.
    """

    forward: float = 1.0
    activation_bytes: int = 0
    room: float = float("inf")


@dataclass(frozen=True)
class Segment:
    """Costs of a part of a chain for one microbatch; a backward that is not split takes both gradients' seconds."""

    forward: float = 1.0
    input_gradient: float = 1.0
    weight_gradient: float = 1.0
    activation_bytes: int = 0


def chain(
    segments: Sequence[Segment], ranks: int, microbatches: int, transfer: float = 0.0, split: bool = False
) -> Workload:
    """Segments one after another, dealt to the ranks in turn, forward and then backward; ``split`` as in ``1I3 1W3``."""
    parts: dict[Key, Part] = {}
    back = Kind.INPUT_GRADIENT if split else Kind.BACKWARD
    for index, one in enumerate(segments):
        rank, forward = index % ranks, Key(index, Kind.FORWARD)
        before = (Key(index - 1, Kind.FORWARD),) if index else ()
        parts[forward] = Part(rank, one.forward, before, holds=one.activation_bytes)
        behind = (Key(index + 1, back),) if index + 1 < len(segments) else ()
        seconds = one.input_gradient + (0.0 if split else one.weight_gradient)
        freed = 0 if split else one.activation_bytes
        parts[Key(index, back)] = Part(rank, seconds, (forward, *behind), frees=freed)
        if split:
            weights = Part(rank, one.weight_gradient, (Key(index, back),), frees=one.activation_bytes)
            parts[Key(index, Kind.WEIGHT_GRADIENT)] = weights
    return Workload(ranks, (parts,) * microbatches, transfer)
