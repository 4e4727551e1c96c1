"""Automatic partitioning: which partition owns which module."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shardyard_runtime.torch.partition.cost import Cost, Weighing, costs, weighed
from shardyard_runtime.torch.partition.split import cuts
from shardyard_runtime.torch.partition.tree import sequence
from shardyard_runtime.torch.tracing.record import Trace


@dataclass(frozen=True)
class Assignment:
    """``owner``: module path ('' for the root) to partition, every path of the tree.

    By partition: ``load``, its cost as weighed, and ``costs``, what it was weighed from.
    """

    owner: dict[str, int]
    load: list[float]
    costs: list[Cost]


SEGMENTS = 2  # of each partition, with virtual stages


def segments_of(pipeline: str) -> int:
    """How many parts each partition gets under this value of the parameter ``pipeline``."""
    return SEGMENTS if pipeline == "virtual_stages" else 1


def assign(
    root: nn.Module,
    partitions: int,
    trace: Trace | None = None,
    weighing: Weighing | None = None,
    segments: int = 1,
) -> Assignment:
    """Contiguous parts of the model in order of execution, the dearest as cheap as can be; costs sum up to 1.

    With several ``segments`` a partition there are as many times more parts, dealt to the partitions in turn.
    """
    pieces = sequence(root, trace)
    weighing = weighing or Weighing()
    found = costs(pieces.nodes, trace, weighing.states)
    of_node = weighed(found, weighing)
    of_piece = [sum(of_node[i] for i in piece) for piece in pieces.pieces]
    begins = [0, *cuts(of_piece, partitions * segments, pieces.depth_of_cut)]
    devices = [0] * len(of_piece)
    load, spent = [0.0] * partitions, [Cost()] * partitions
    for part, (begin, end) in enumerate(zip(begins, [*begins[1:], len(of_piece)], strict=True)):
        device = part % partitions
        devices[begin:end] = [device] * (end - begin)
        load[device] += sum(of_piece[begin:end])
        spent[device] += sum((found[i] for piece in pieces.pieces[begin:end] for i in piece), Cost())
    return Assignment(pieces.owners(root, devices), load, spent)
