"""The module tree as a sequence of pieces that can be put on partitions one after another.

A piece is a module with parameters of its own, and everything that has to be with it: what shares a parameter with
it or reads one of its parameters, the modules without parameters below it, and containers that begin with it.
Pieces stand in the order of execution, so a cut of the sequence is a cut of the model.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from shardyard_runtime.torch.tracing.record import Trace

# Modules that read their children's parameters instead of calling them: never cut.
ATOMIC: tuple[type[nn.Module], ...] = (nn.MultiheadAttention,)


@dataclass
class Node:
    """A module instance, at the first place where it stands."""

    path: str
    module: nn.Module
    parent: int
    depth: int
    end: int = 0  # behind the last node of its subtree
    holds: set[int] = field(default_factory=set)  # ids of parameters that it has or reads
    piece: int = -1


@dataclass
class Sequence:
    """Nodes in pre-order of execution, and the pieces as lists of nodes."""

    nodes: list[Node]
    pieces: list[list[int]]
    depth_of_cut: list[int]  # before each piece: the more containers a cut there tears, the deeper

    def owners(self, root: nn.Module, devices: list[int]) -> dict[str, int]:
        """Every path of the tree to the partition of its piece."""
        by_instance = {id(node.module): devices[node.piece] for node in self.nodes}
        return {path: by_instance[id(m)] for path, m in root.named_modules(remove_duplicate=False)}


def sequence(root: nn.Module, trace: Trace | None = None) -> Sequence:
    """Cuts the tree into pieces: in the order of the trace, without one in that of definition."""
    nodes = _nodes(root, _first_calls(root, trace))
    for node in nodes:
        node.holds = {id(parameter) for parameter in node.module.parameters(recurse=False)}
        record = trace.of(node.module) if trace else None
        node.holds |= record.reads if record else set()
    leader = _leaders(nodes)
    heads = sorted({leader[i] for i, node in enumerate(nodes) if node.holds}) or [0]
    depth_of_cut = [nodes[i].depth for i in heads]
    pieces: list[list[int]] = [[] for _ in heads]
    for i, node in enumerate(nodes):
        if node.holds:
            node.piece = bisect_left(heads, leader[i])
        else:
            first = bisect_left(heads, i)
            begins = first < len(heads) and heads[first] < node.end
            node.piece = first if begins else nodes[max(0, node.parent)].piece
            if begins:
                depth_of_cut[first] = min(depth_of_cut[first], node.depth)
        node.piece = max(0, node.piece)
        pieces[node.piece].append(i)
    return Sequence(nodes, pieces, depth_of_cut)


def _first_calls(root: nn.Module, trace: Trace | None) -> Mapping[int, float]:
    """Per module the first call in its subtree; infinity where there was none."""
    first: dict[int, float] = {}

    def visit(module: nn.Module) -> float:
        if id(module) not in first:
            record = trace.of(module) if trace else None
            first[id(module)] = record.order if record else float("inf")
            below = min((visit(child) for child in module.children()), default=float("inf"))
            first[id(module)] = min(first[id(module)], below)
        return first[id(module)]

    visit(root)
    return first


def _nodes(root: nn.Module, first: Mapping[int, float]) -> list[Node]:
    nodes: list[Node] = []
    seen: set[int] = set()

    def visit(path: str, module: nn.Module, parent: int, depth: int) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        mine = len(nodes)
        nodes.append(Node(path, module, parent, depth))
        for name, child in sorted(module.named_children(), key=lambda item: first[id(item[1])]):
            visit(f"{path}.{name}" if path else name, child, mine, depth + 1)
        nodes[mine].end = len(nodes)

    visit("", root, -1, 0)
    return nodes


def _leaders(nodes: list[Node]) -> list[int]:
    """Per node the first node that it has to be with: by shared parameters, or inside a module that is never cut."""
    above = list(range(len(nodes)))

    def first(i: int) -> int:
        while above[i] != i:
            above[i] = i = above[above[i]]
        return i

    def together(i: int, j: int) -> None:
        early, late = sorted((first(i), first(j)))
        above[late] = early

    holder: dict[int, int] = {}
    for i, node in enumerate(nodes):
        for parameter in node.holds:
            together(i, holder.setdefault(parameter, i))
        if isinstance(node.module, ATOMIC):
            for below in range(i + 1, node.end):
                if nodes[below].holds:
                    together(i, below)
    return [first(i) for i in range(len(nodes))]
