"""The long run: one point a step, thinned evenly, so that a run of any length takes little memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from shardyard_runtime.torch.microbatch import StepOutput

MOST = 2048


class Point(NamedTuple):
    """Seconds of the step, the scalar that it returned, and bytes of memory after it (memory.py)."""

    step: int
    seconds: float
    value: Any
    resident: int
    resident_peak: int
    allocated: int
    allocated_peak: int


@dataclass
class Series:
    """Every ``stride``-th step of a function; the stride doubles whenever there are too many points."""

    points: list[Point] = field(default_factory=list)
    stride: int = 1
    steps: int = 0

    def wants(self) -> bool:
        """Counts a step, and tells whether it becomes a point."""
        if len(self.points) >= MOST:
            self.points = self.points[::2]
            self.stride *= 2
        self.steps += 1
        return (self.steps - 1) % self.stride == 0


def scalar(output: Any) -> torch.Tensor | float | None:
    """The mean over microbatches of the one number that a step returns: of a tuple its first item, of a mapping "loss".

    None where there is no such number. A tensor stays where it is: to read it would stop a GPU.
    """
    if isinstance(output, Mapping):
        return scalar(output.get("loss"))
    if isinstance(output, StepOutput):
        numbers = [one.detach().reshape(-1) for one in output.outputs]
        fit = all(one.numel() == 1 and one.is_floating_point() for one in numbers)
        return torch.cat(numbers).float().mean() if fit else None
    if isinstance(output, list | tuple) and output:
        if all(isinstance(one, float) for one in output):
            return sum(output) / len(output)
        return scalar(output[0])
    return None
