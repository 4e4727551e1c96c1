"""A schedule as data: for each rank of a pipeline the order of its tasks.

A task is what one rank does for one microbatch in one go. ``2F0`` is the forward of segment 2 for microbatch 0, ``1B3``
a backward; a backward that is split is ``1I3``, the gradient of the segment's input, and ``1W3``, that of its weights.
A segment is a part of the model that runs without leaving its rank; a rank may have several that are not neighbours.
(The notation is that of torch.distributed.pipelining, where a segment is called a stage.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple


class Kind(str, Enum):
    FORWARD = "F"
    BACKWARD = "B"
    INPUT_GRADIENT = "I"
    WEIGHT_GRADIENT = "W"


class Key(NamedTuple):
    """A task's place in its microbatch."""

    segment: int
    kind: Kind


class Task(NamedTuple):
    segment: int
    kind: Kind
    microbatch: int

    @property
    def key(self) -> Key:
        return Key(self.segment, self.kind)

    def __str__(self) -> str:
        return f"{self.segment}{self.kind.value}{self.microbatch}"


Schedule = tuple[tuple[Task, ...], ...]  # by rank

_TASK = re.compile("([0-9]{1,9})([FBIW])([0-9]{1,9})")
_LINE = re.compile(r"\s*rank +([0-9]{1,9}) *:(.*)")


class ScheduleError(ValueError):
    """What cannot be a schedule; ``findings`` are all that is wrong with it."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(self.findings))


def written(schedule: Schedule) -> str:
    """One line a rank: ``rank 1: 1F0 1B0 1F1 1B1``."""
    return "\n".join(
        f"rank {rank}: {' '.join(map(str, order))}".rstrip() for rank, order in enumerate(schedule)
    )


def parsed(text: str) -> Schedule:
    """What :func:`written` writes; empty lines and spaces do not count. Raises ScheduleError with every finding."""
    orders: dict[int, tuple[Task, ...]] = {}
    findings: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            findings.append(f"line {number}: {line.strip()[:80]!r} does not begin with 'rank N:'")
            continue
        rank = int(found[1])
        if rank in orders:
            findings.append(f"line {number}: rank {rank} has a line already; put its tasks on one")
        orders[rank] = tuple(_tasks(found[2], number, findings))
    missing = [rank for rank in range(len(orders)) if rank not in orders]
    if missing:
        findings.append(
            f"there is no line 'rank {missing[0]}:', but one for rank {max(orders)}; an idle rank has an empty one"
        )
    if not orders and not findings:
        findings.append("there is no line 'rank N: ...' in it")
    if findings:
        raise ScheduleError(findings)
    return tuple(orders[rank] for rank in range(len(orders)))


def _tasks(words: str, number: int, findings: list[str]) -> Iterator[Task]:
    for word in words.split():
        found = _TASK.fullmatch(word)
        if found is None:
            findings.append(
                f"line {number}: {word[:80]!r} is no task; write the segment, one of F, B, I and W, and the microbatch: 2F0"
            )
        else:
            yield Task(int(found[1]), Kind(found[2]), int(found[3]))
