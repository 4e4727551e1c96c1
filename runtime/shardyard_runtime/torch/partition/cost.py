"""What each module costs: memory and time, from the trace where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from shardyard_runtime.torch.partition.tree import Node
from shardyard_runtime.torch.tracing.record import Trace, size_of


@dataclass(frozen=True)
class Weighing:
    """How memory and time make one cost.

    ``memory_weight`` is the share of memory in 0..1; ``in_flight`` the microbatches whose activations are held at
    once; ``states`` the tensors of a parameter's size that the optimizer keeps for it.
    """

    memory_weight: float = 0.8
    in_flight: int = 1
    states: int = 2


@dataclass(frozen=True)
class Cost:
    """``time`` is proportional to that of a forward; activations are those of one microbatch."""

    time: float = 0.0
    state_bytes: int = 0
    activation_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.time + other.time,
            self.state_bytes + other.state_bytes,
            self.activation_bytes + other.activation_bytes,
        )


def costs(nodes: list[Node], trace: Trace | None, states: int) -> list[Cost]:
    """Per node, its children not counted; without a trace the number of parameters stands for time."""
    found: list[Cost] = []
    counted: set[int] = set()
    for node in nodes:
        own = [p for p in node.module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        record = trace.of(node.module) if trace else None
        held = sum(size_of(p) * (2 + states if p.requires_grad else 1) for p in own)
        parameters = float(sum(p.numel() for p in own))
        time = parameters if trace is None else trace.time_of(record) if record else 0.0
        found.append(Cost(time, held, record.activation_bytes if record else 0))
    return found


def weighed(found: Sequence[Cost], weighing: Weighing) -> list[float]:
    """w * memory + (1 - w) * time, both as shares of the whole."""
    memory = _shares([one.state_bytes + weighing.in_flight * one.activation_bytes for one in found])
    time = _shares([one.time for one in found])
    w = weighing.memory_weight
    return [w * m + (1 - w) * t for m, t in zip(memory, time, strict=True)]


def _shares(values: list[float]) -> list[float]:
    total = sum(values)
    return [value / total for value in values] if total else values


def states_of(optimizer: torch.optim.Optimizer | None) -> int:
    """State tensors a parameter, read off the optimizer's options; those of Adam before there is an optimizer."""
    if optimizer is None:
        return 2
    return max((_states(group.keys(), group) for group in optimizer.param_groups), default=0)


def _states(names: Iterable[str], group: dict[str, object]) -> int:
    names = set(names)
    if "betas" in names:  # Adam and its relatives
        return 2 + bool(group.get("amsgrad"))
    return bool(group.get("momentum")) + bool(
        {"alpha", "lr_decay", "rho"} & names
    )  # RMSprop, Adagrad, Adadelta
