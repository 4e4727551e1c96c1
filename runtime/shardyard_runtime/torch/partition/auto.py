"""Automatic partitioning: which partition owns which module."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shardyard_runtime.torch.partition.cost import Weighing, costs
from shardyard_runtime.torch.partition.split import cuts
from shardyard_runtime.torch.partition.tree import sequence
from shardyard_runtime.torch.tracing.record import Trace


@dataclass(frozen=True)
class Assignment:
    """``owner``: module path ('' for the root) to partition, every path of the tree; ``load``: cost a partition."""

    owner: dict[str, int]
    load: list[float]


def assign(
    root: nn.Module, partitions: int, trace: Trace | None = None, weighing: Weighing | None = None
) -> Assignment:
    """Contiguous parts of the model in order of execution, the dearest as cheap as can be; costs sum up to 1."""
    pieces = sequence(root, trace)
    of_node = costs(pieces.nodes, trace, weighing or Weighing())
    of_piece = [sum(of_node[i] for i in piece) for piece in pieces.pieces]
    begins = [0, *cuts(of_piece, partitions, pieces.depth_of_cut)]
    devices = [0] * len(of_piece)
    load = [0.0] * partitions
    for device, (begin, end) in enumerate(zip(begins, [*begins[1:], len(of_piece)], strict=True)):
        devices[begin:end] = [device] * (end - begin)
        load[device] = sum(of_piece[begin:end])
    return Assignment(pieces.owners(root, devices), load)
