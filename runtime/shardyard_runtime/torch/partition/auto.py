"""Automatic partitioning: which partition owns which module.

Breadth-first descent over the module tree: a node's devices are dealt to contiguous segments of its children,
each segment's share by d'Hondt; a single child with several devices is descended into. A segment gets no more
devices than it has modules to put on them. The cost of a node is its parameter count, a shared parameter counted
once, at the first module that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from shardyard_runtime.torch.partition.split import dhondt, segments

# Modules that read their children's parameters instead of calling them: never cut.
ATOMIC: tuple[type[nn.Module], ...] = (nn.MultiheadAttention,)


def assign(root: nn.Module, partitions: int) -> dict[str, int]:
    """Module path ('' for the root) to partition, for every module of the tree."""
    cost = _costs(root)
    owner: dict[str, int] = {}
    _descend("", root, list(range(partitions)), cost, owner)
    _join_shared(root, owner)
    return owner


def _costs(root: nn.Module) -> dict[str, float]:
    seen: set[int] = set()
    cost: dict[str, float] = {}

    def visit(path: str, module: nn.Module) -> float:
        if path in cost:
            return 0.0
        total = 0.0
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                total += parameter.numel()
        for child_path, child in _children(path, module):
            total += visit(child_path, child)
        cost[path] = total
        return total

    visit("", root)
    return cost


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _children(path: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children with their paths; one that stands in several places (an activation, often) once a place."""
    return [(_join(path, name), child) for name, child in module._modules.items() if child is not None]


def _capacity(path: str, module: nn.Module, cost: dict[str, float]) -> int:
    """How many devices this subtree can be spread over: its weighty leaves."""
    if isinstance(module, ATOMIC):
        return 1
    below = _children(path, module)
    return max(1, sum(_capacity(p, c, cost) for p, c in below if cost[p] > 0))


def _descend(
    path: str, module: nn.Module, devices: list[int], cost: dict[str, float], owner: dict[str, int]
) -> None:
    owner[path] = devices[0]
    children = _children(path, module)
    if len(devices) == 1 or isinstance(module, ATOMIC):
        for child_path, child in children:
            _descend(child_path, child, devices[:1], cost, owner)
        return
    weighty = [(p, c) for p, c in children if cost[p] > 0]
    for child_path, child in children:
        if cost[child_path] == 0:  # without parameters of its own: with its parent
            _descend(child_path, child, devices[:1], cost, owner)
    if weighty:
        _deal(weighty, devices, cost, owner)


def _deal(
    nodes: Sequence[tuple[str, nn.Module]], devices: list[int], cost: dict[str, float], owner: dict[str, int]
) -> None:
    if len(devices) == 1 or len(nodes) == 1:
        for path, module in nodes:
            _descend(path, module, devices, cost, owner)
        return
    cuts = segments([cost[path] for path, _ in nodes], len(devices))
    if len(cuts) == 1:
        for path, module in nodes:
            _descend(path, module, devices, cost, owner)
        return
    totals = [sum(cost[nodes[i][0]] for i in cut) for cut in cuts]
    start = 0
    room = [sum(_capacity(*nodes[i], cost) for i in cut) for cut in cuts]
    for cut, seats in zip(cuts, dhondt(totals, len(devices), room), strict=True):
        part = [nodes[i] for i in cut]
        # Without a seat of its own, a segment is with its left neighbour: partitions stay contiguous.
        mine = devices[start : start + seats] or [devices[max(0, start - 1)]]
        start += seats
        _deal(part, mine, cost, owner)


def _join_shared(root: nn.Module, owner: dict[str, int]) -> None:
    """Paths of one module, and modules that hold one and the same parameter, go where the first of them is.

    A module that shares with two others joins all three.
    """
    position: dict[str, int] = {}
    holder: dict[int, str] = {}
    above: dict[str, str] = {}

    def first(path: str) -> str:
        while path in above:
            path = above[path]
        return path

    for path, module in root.named_modules(remove_duplicate=False):
        position[path] = len(position)
        for held in (module, *module.parameters(recurse=False)):
            ends = {first(path), first(holder.setdefault(id(held), path))}
            if len(ends) == 2:
                early, late = sorted(ends, key=position.__getitem__)
                above[late] = early
    for path in position:
        owner[path] = owner[first(path)]
