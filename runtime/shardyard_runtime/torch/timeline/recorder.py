"""What one rank did, step by step, as tuples on its own clock. While a step runs they are appended, nothing else.

Of each step function the last few steps are kept whole, and of every step one point of a series (series.py).
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from shardyard_runtime.torch.timeline.memory import memory
from shardyard_runtime.torch.timeline.series import Point, Series, scalar

clock = time.monotonic_ns


class Ran(NamedTuple):
    """A task that had the rank to itself; a call that waited in between left several. Times are nanoseconds."""

    start: int
    end: int
    phase: int
    microbatch: int
    name: str


class Waited(NamedTuple):
    """No task could go on."""

    start: int
    end: int


class Sent(NamedTuple):
    """``number`` tells the messages of a sender apart; ``nbytes`` are those of its tensors."""

    when: int
    to: int
    number: int
    kind: str
    nbytes: int


class Arrived(NamedTuple):
    when: int
    source: int
    number: int


@dataclass
class Step:
    """One call of a step function. The pipeline works from ``opened`` to ``closed``, gradients are averaged after it.

    ``plan`` is what the leader began it with: (partition, kind, microbatch, start, end) on the plan's own clock.
    """

    number: int = 0
    function: str = ""
    begin: int = 0
    opened: int = 0
    closed: int = 0
    end: int = 0
    tasks: list[Ran] = field(default_factory=list)
    waits: list[Waited] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    plan: Sequence[tuple[int, str, int, float, float]] = ()


class Recorder:
    """The hooks of the engine append to the current step; ``keep`` is how many steps of a function stay."""

    def __init__(self, keep: int, device: torch.device, leads: bool) -> None:
        self._keep = keep
        self._device = device
        self._leads = leads
        self._current = Step()
        self._numbers = itertools.count()
        self._since = 0
        self._steps = 0
        self.kept: dict[str, deque[Step]] = {}
        self.series: dict[str, Series] = {}

    @contextlib.contextmanager
    def step(self, function: str) -> Iterator[list[Any]]:
        """Around one call of a step function, which puts what it returned into the list. A failed one leaves nothing."""
        self._steps += 1
        current = self._current
        output: list[Any] = []
        current.number, current.function, current.begin = self._steps, function, clock()
        try:
            yield output
            current.end = clock()
            self.kept.setdefault(function, deque(maxlen=self._keep)).append(current)
            series = self.series.setdefault(function, Series())
            if series.wants():
                series.points.append(self._point(current, output[0]))
        finally:
            self._current = Step()  # what arrives before the next step begins is of that one

    def _point(self, step: Step, output: Any) -> Point:
        value = scalar(output) if self._leads else None
        return Point(step.number, (step.end - step.begin) / 1e9, value, *memory(self._device))

    # -- of the main thread, and of the task that runs --------------------------------------------------------

    def opened(self) -> None:
        self._current.opened = self._current.opened or clock()  # a recorded step opens again, for the records

    def plans(self, plan: Sequence[tuple[int, str, int, float, float]]) -> None:
        self._current.plan = plan

    def closed(self) -> None:
        self._current.closed = clock()

    def hands_over(self) -> None:
        self._since = clock()

    def ran(self, phase: int, microbatch: int, name: str) -> None:
        self._current.tasks.append(Ran(self._since, clock(), phase, microbatch, name))

    def waited(self, since: int) -> None:
        self._current.waits.append(Waited(since, clock()))

    # -- of any thread ----------------------------------------------------------------------------------------

    def sends(self, to: int, kind: str, nbytes: int) -> int:
        """The number of this message."""
        number = next(self._numbers)
        self._current.sent.append(Sent(clock(), to, number, kind, nbytes))
        return number

    def arrived(self, source: int, number: int) -> None:
        self._current.arrived.append(Arrived(clock(), source, number))
