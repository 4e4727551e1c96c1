"""What all ranks recorded, on one clock: the material of the summary, the trace and the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.timeline.clocks import OneClock, Reading
from shardyard_runtime.torch.timeline.recorder import Step
from shardyard_runtime.torch.timeline.series import Series


@dataclass
class Part:
    """What one rank sends at the end. ``group`` are the global ranks of its pipeline group."""

    rank: int
    host: str
    device: str
    group: tuple[int, ...]
    replica: int
    readings: list[Reading]
    kept: dict[str, list[Step]]
    series: dict[str, Series]


@dataclass(frozen=True)
class Settings:
    """Of the pipeline, as ``smp.init`` got them."""

    pipeline: str
    microbatches: int
    active_microbatches: int


class Run:
    """The parts in order of their ranks, every time on rank 0's clock."""

    def __init__(self, parts: Iterable[Part], settings: Settings) -> None:
        self.parts = sorted(parts, key=lambda part: part.rank)
        self.settings = settings
        self.error = {part.rank: _put_on_one_clock(part) for part in self.parts}

    @property
    def functions(self) -> list[str]:
        """Step functions; those that go backward first."""
        names = dict.fromkeys(name for part in self.parts for name in part.kept)
        return sorted(names, key=lambda name: not self._trains(name))

    def _trains(self, function: str) -> bool:
        steps = (step for part in self.parts for step in part.kept.get(function, ()))
        return any(task.phase for step in steps for task in step.tasks)

    def steps(self, function: str) -> dict[int, dict[int, Step]]:
        """By number, then by rank: those that every rank still has, without the first, which sets everything up."""
        of_rank = {part.rank: {s.number: s for s in part.kept.get(function, ())} for part in self.parts}
        common = set.intersection(*(set(steps) for steps in of_rank.values()))
        if len(common) > 1:
            common.discard(self.parts[0].series[function].points[0].step)
        return {number: {r: steps[number] for r, steps in of_rank.items()} for number in sorted(common)}

    def window(self, step: dict[int, Step], rank: int) -> tuple[int, int]:
        """From the first rank's start to the last one's end in the pipeline group of this rank."""
        group = [step[member] for member in self.parts[rank].group]
        return min(one.opened for one in group), max(one.closed for one in group)

    def typical(self, function: str) -> dict[int, Step] | None:
        """The step whose time is the median; None where there is none that every rank has."""
        steps = sorted(self.steps(function).values(), key=lambda step: _seconds(self.window(step, 0)))
        return steps[(len(steps) - 1) // 2] if steps else None


def _seconds(window: Sequence[int]) -> float:
    return (window[1] - window[0]) / 1e9


def _put_on_one_clock(part: Part) -> int:
    """Nanoseconds that the rank's times may be wrong."""
    clock = OneClock(part.readings)
    for step in (one for steps in part.kept.values() for one in steps):
        step.begin, step.opened = clock(step.begin), clock(step.opened)
        step.closed, step.end = clock(step.closed), clock(step.end)
        step.tasks = [ran._replace(start=clock(ran.start), end=clock(ran.end)) for ran in step.tasks]
        step.waits = [wait._replace(start=clock(wait.start), end=clock(wait.end)) for wait in step.waits]
        step.sent = [sent._replace(when=clock(sent.when)) for sent in step.sent]
        step.arrived = [one._replace(when=clock(one.when)) for one in step.arrived]
    return clock.error
