"""What a trace knows of each module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten

# What a float32 device computes (FLOP) while it moves one byte to or from its memory: 8 to 20 on CPUs and GPUs.
FLOP_A_BYTE = 10.0


@dataclass(frozen=True)
class TensorShape:
    """A tensor that entered or left a module."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass
class ModuleRecord:
    """One module, its children not counted: costs of what ran in its own ``forward``, over all of its calls."""

    path: str
    order: int  # position of its first call among all modules
    calls: int = 0
    inputs: tuple[TensorShape, ...] = ()  # of the first call
    outputs: tuple[TensorShape, ...] = ()
    seconds: float = 0.0  # forward; only where execution times were asked for
    flop: float = 0.0
    moved_bytes: float = 0.0
    activation_bytes: int = 0  # held until backward, of one microbatch
    reads: set[int] = field(default_factory=set)  # ids of the parameters that its own operations used


@dataclass
class Trace:
    """One microbatch. ``kind`` is "meta" or the device that it ran on, "cpu" or "cuda"."""

    kind: str
    timed: bool
    records: dict[int, ModuleRecord]  # by id of the module

    def of(self, module: nn.Module) -> ModuleRecord | None:
        """The module's record; None where no call reached it."""
        return self.records.get(id(module))

    def in_order(self) -> list[ModuleRecord]:
        return sorted(self.records.values(), key=lambda record: record.order)

    def time_of(self, record: ModuleRecord) -> float:
        """Seconds where they were measured, else bytes that could have been moved instead: a proportional cost."""
        return record.seconds if self.timed else record.flop / FLOP_A_BYTE + record.moved_bytes


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Tensors in nested tuples, lists, dicts and objects that torch knows how to take apart."""
    return (leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, torch.Tensor))


def shapes_in(value: Any) -> tuple[TensorShape, ...]:
    return tuple(TensorShape(tuple(tensor.shape), tensor.dtype) for tensor in tensors_in(value))


def size_of(tensor: torch.Tensor) -> int:
    """Bytes of its elements."""
    return tensor.numel() * tensor.element_size()
