"""From what the ranks did in a step to the tasks of a schedule.

A task of the schedule is the longest run of slices that a rank can do for a microbatch without waiting for another rank,
forward or backward. So it is a segment's forward or backward, whichever calls it is made of.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shardyard_runtime.torch.pipeline.planned.slices import Made, Path, Record, Slice
from shardyard_runtime.torch.pipeline.schedule.tasks import Key, Kind
from shardyard_runtime.torch.pipeline.schedule.workload import Part, RankCost, Workload

Calls = dict[Path, tuple[int, list[Slice]]]  # of one microbatch: rank and slices of each task
_TRANSFER = 0.1  # of a mean forward: so that a rank has something to do while a message is on its way


class Unplannable(ValueError):
    """What a step did cannot be put into tasks."""


@dataclass(frozen=True)
class Outline:
    """One microbatch: its tasks, and the slices that each is made of, as paths in the order in which they run."""

    parts: Mapping[Key, Part]
    slices: Mapping[Key, tuple[Path, ...]]


def outlined(records: Sequence[Record], costs: Sequence[RankCost]) -> tuple[Workload, list[Outline]]:
    """The step of these ranks, and its microbatches. ``costs`` are by rank.

    Raises Unplannable.
    """
    microbatches: defaultdict[int, Calls] = defaultdict(dict)
    for rank, record in enumerate(records):
        for (microbatch, path), slices in record.items():
            microbatches[microbatch][path] = (rank, slices)
    outlines: list[Outline] = []
    like: list[tuple[Calls, Outline]] = []  # most microbatches are like the first one
    for _, all_calls in sorted(microbatches.items()):
        calls = _needed(all_calls)
        outline = next((outline for before, outline in like if before == calls), None)
        if outline is None:
            outline = _Graph(calls).outline(costs)
            like.append((calls, outline))
        outlines.append(outline)
    transfer = _TRANSFER * sum(cost.forward for cost in costs) / len(costs)
    room = tuple(cost.room for cost in costs)
    return Workload(len(records), tuple(one.parts for one in outlines), transfer, room), outlines


def made_by(path: Path, slices: Sequence[Slice]) -> Iterator[tuple[Path, int, Made]]:
    """The calls that a task made, each with the slice that made it: a task numbers its calls."""
    number = 0
    for index, one in enumerate(slices):
        for made in one.made:
            yield (*path, number), index, made
            number += 1


def _needed(calls: Calls) -> Calls:
    """The calls that something waits for. Others run when there is time, and not at all when the microbatch is over."""
    made = {call: one for path, (_, slices) in calls.items() for call, _, one in made_by(path, slices)}
    needed: set[Path] = set()
    left: list[Path] = [()]
    while left:
        path = left.pop()
        if path in needed:
            continue
        if path not in calls:
            raise Unplannable(f"call {path} is waited for, and did not run")
        needed.add(path)
        slices = calls[path][1]
        left += [call for one in slices for call in one.waits or ()]
        left += [call for call, _, one in made_by(path, slices) if one.answered]
        left += made[path].awaited if path else ()
    return {path: calls[path] for path in sorted(needed)}


class _Node(NamedTuple):
    path: Path
    number: int  # of the slice among those of its task


class _Group(NamedTuple):
    """``level``: how often the work changes over to another rank, or turns back, on the longest way here."""

    level: int
    rank: int
    backward: bool


class _Graph:
    """The slices of a microbatch, and which come after which."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._maker: dict[Path, tuple[_Node, Made]] = {}
        for path, (_, slices) in calls.items():
            for call, index, made in made_by(path, slices):
                self._maker[call] = _Node(path, index), made
        self._over: dict[Path, frozenset[_Node]] = {}
        self._after = {
            _Node(path, index): self._comes_after(path, index, slices)
            for path, (_, slices) in calls.items()
            for index in range(len(slices))
        }

    def outline(self, costs: Sequence[RankCost]) -> Outline:
        of = self._groups()
        members: defaultdict[_Group, list[_Node]] = defaultdict(list)
        for node, group in of.items():
            members[group].append(node)
        keys = _keys(sorted(members))
        totals: defaultdict[tuple[int, bool], int] = defaultdict(int)
        for group, nodes in members.items():
            totals[group.rank, group.backward] += len(nodes)
        parts: dict[Key, Part] = {}
        for group, key in keys.items():
            before = {of[node] for member in members[group] for node in self._after[member]} - {group}
            share = len(members[group]) / totals[group.rank, group.backward]
            cost, after = costs[group.rank], tuple(sorted(keys[one] for one in before))
            held = round(cost.activation_bytes * share)
            if group.backward:
                parts[key] = Part(group.rank, 2.0 * cost.forward * share, after, frees=held)
            else:
                parts[key] = Part(group.rank, cost.forward * share, after, holds=held)
        paths = {key: tuple(node.path for node in members[group]) for group, key in keys.items()}
        return Outline(parts, paths)

    def _comes_after(self, path: Path, index: int, slices: Sequence[Slice]) -> set[_Node]:
        if index:
            waits = slices[index - 1].waits or ()
            return {_Node(path, index - 1)}.union(*map(self._until_over, waits))
        if not path:
            return set()
        maker, made = self._maker[path]
        return {maker}.union(*map(self._until_over, made.awaited))

    def _until_over(self, path: Path) -> frozenset[_Node]:
        """A call is over when its last slice is, and all calls that it owes an answer for."""
        if path not in self._over:
            slices = self._calls[path][1]
            owed = [call for call, _, one in made_by(path, slices) if one.answered]
            last = frozenset({_Node(path, len(slices) - 1)})
            self._over[path] = last.union(*map(self._until_over, owed))
        return self._over[path]

    def _groups(self) -> dict[_Node, _Group]:
        """In an order in which the slices can run, always the same one: of those that can, the first call first."""
        missing = {node: len(before) for node, before in self._after.items()}
        behind: defaultdict[_Node, list[_Node]] = defaultdict(list)
        for node, before in self._after.items():
            for one in before:
                behind[one].append(node)
        ready = [node for node, count in missing.items() if not count]
        found: dict[_Node, _Group] = {}
        while ready:
            node = heapq.heappop(ready)
            found[node] = self._group(node, [found[one] for one in self._after[node]])
            for other in behind[node]:
                missing[other] -= 1
                if not missing[other]:
                    heapq.heappush(ready, other)
        if len(found) < len(missing):
            raise Unplannable("calls of the step wait for each other in a circle")
        return found

    def _group(self, node: _Node, before: Sequence[_Group]) -> _Group:
        rank, slices = self._calls[node.path]
        backward = slices[node.number].backward
        levels = (one.level + ((one.rank, one.backward) != (rank, backward)) for one in before)
        return _Group(max(levels, default=0), rank, backward)


def _keys(groups: Sequence[_Group]) -> dict[_Group, Key]:
    """Forwards are the segments, in order; a rank's backwards belong to its own segments, the last one's first."""
    keys: dict[_Group, Key] = {}
    segments: defaultdict[int, list[int]] = defaultdict(list)
    for group in groups:
        if not group.backward:
            keys[group] = Key(len(keys), Kind.FORWARD)
            segments[group.rank].append(len(keys) - 1)
    more = len(keys)
    for group in groups:
        if group.backward:
            if not segments[group.rank]:
                segments[group.rank].append(more)
                more += 1
            keys[group] = Key(segments[group.rank].pop(), Kind.BACKWARD)
    return keys
