"""What a task does between two waits: a slice. That is what a plan puts in order, and what a step is held against.

Nothing in it depends on when messages arrive, or on the numbers in tensors: ranks and replicas that run the same code
have the same slices, and every step that takes the same way has those of the one before.
"""

from __future__ import annotations

from typing import NamedTuple

Path = tuple[
    int, ...
]  # of a call: its number among those of the step function, or below the call that made it
Name = tuple[int, Path]  # of a task: the microbatch, and its call; the step function itself is ()


class Made(NamedTuple):
    """A call that was made: of what, of which partition, after which others, and whether an answer is due."""

    partition: int
    target: str
    awaited: tuple[Path, ...]
    answered: bool


class Slice(NamedTuple):
    """``waits``: the calls that have to be over before the task goes on; () where it is parked, None when it has ended."""

    backward: bool
    made: tuple[Made, ...]
    waits: tuple[Path, ...] | None


Record = dict[Name, list[Slice]]  # of one rank, in one step
