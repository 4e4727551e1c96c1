"""Values that stay where they were made: how ranks name them, and where a rank keeps its own.

A value lives as long as its microbatch; the leader says when that is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from shardyard_runtime.torch.pipeline.offload import Away, Copies
from shardyard_runtime.torch.pipeline.planned.slices import Path
from shardyard_runtime.torch.releases import itemsize

CallId = tuple[int, int, Path]  # the step, the microbatch, and which of its calls
ValueId = tuple[CallId, int]  # (the call that made it, the index among its outputs)


@dataclass(frozen=True)
class Ref:
    """A tensor on another rank: who holds it, its name there, its shape and dtype."""

    holder: int
    value: ValueId
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * itemsize(self.dtype)


@dataclass
class _Waiter:
    missing: set[ValueId]
    action: Callable[[], None]
    what: str


class Store:
    """The values that a rank holds, by microbatch, and what waits for values. Its user guards it by a lock."""

    def __init__(self) -> None:
        self._values: dict[int, dict[ValueId, torch.Tensor | Away]] = {}
        self._waiters: dict[int, list[_Waiter]] = {}
        self._closed: set[int] = set()

    def get(self, microbatch: int, value: ValueId) -> torch.Tensor | None:
        held = self._values.get(microbatch, {}).get(value)
        return held.tensor() if isinstance(held, Away) else held

    def send_away(self, microbatch: int, value: ValueId, copies: Copies) -> None:
        """Keeps a value on the host from now on; not one that somebody has changed here."""
        held = self._values.get(microbatch, {}).get(value)
        if isinstance(held, torch.Tensor) and not held.is_inference() and held._version == 0:
            self._values[microbatch][value] = Away(held, copies)

    def put(self, microbatch: int, value: ValueId, tensor: torch.Tensor) -> None:
        """Adds a value and does what waited for it. Of a microbatch that is over nothing is kept."""
        if microbatch in self._closed:
            return
        self._values.setdefault(microbatch, {})[value] = tensor
        waiters = self._waiters.get(microbatch, [])
        ready = []
        for waiter in waiters:
            waiter.missing.discard(value)
            if not waiter.missing:
                ready.append(waiter)
        if ready:
            self._waiters[microbatch] = [w for w in waiters if w.missing]
            for waiter in ready:
                waiter.action()

    def drop_changed(self, microbatch: int, value: ValueId) -> bool:
        """Forgets another rank's value whose copy here was changed in place; False when it was not."""
        tensor = self._values.get(microbatch, {}).get(value)
        changed = isinstance(tensor, torch.Tensor) and not tensor.is_inference() and tensor._version != 0
        if changed:
            del self._values[microbatch][value]
        return changed

    def when_here(
        self, microbatch: int, values: Iterable[ValueId], action: Callable[[], None], what: str = ""
    ) -> None:
        """Does ``action``, in words ``what``, once all values are here; never, when the microbatch ends before."""
        if microbatch in self._closed:
            return
        here = self._values.get(microbatch, {})
        missing = {value for value in values if value not in here}
        if missing:
            self._waiters.setdefault(microbatch, []).append(_Waiter(missing, action, what))
        else:
            action()

    def awaiting(self) -> list[str]:
        """What waits for values, in words."""
        return [
            f"microbatch {microbatch}: {len(waiter.missing)} tensors for {waiter.what}"
            for microbatch, waiters in list(self._waiters.items())
            for waiter in waiters
            if waiter.what
        ]

    def closed(self, microbatch: int) -> bool:
        return microbatch in self._closed

    def close(self, microbatch: int) -> None:
        """Forgets a microbatch that is over."""
        self._values.pop(microbatch, None)
        self._waiters.pop(microbatch, None)
        self._closed.add(microbatch)

    def clear(self) -> None:
        """Forgets every microbatch: the step is over."""
        self._values.clear()
        self._waiters.clear()
        self._closed.clear()

    def __len__(self) -> int:
        return sum(len(values) for values in self._values.values())
