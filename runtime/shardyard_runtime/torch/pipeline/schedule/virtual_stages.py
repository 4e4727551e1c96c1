"""Interleaved virtual stages: each rank owns several segments of a chain, so that it waits for shorter ones.

The order is that of Narayanan et al. (2021), section 2.2: microbatches in groups as large as there are ranks, a group goes through
a rank's segments one after another, forwards until the first backward can come, then one of each in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from shardyard_runtime.torch.pipeline.schedule.tasks import Kind, Schedule, Task


def virtual_stages(segments: int, ranks: int, microbatches: int) -> Schedule:
    """For a chain whose segments are dealt to the ranks in turn, the same number to each."""
    return tuple(tuple(_order(rank, segments, ranks, microbatches)) for rank in range(ranks))


def _order(rank: int, segments: int, ranks: int, microbatches: int) -> Iterator[Task]:
    mine = list(range(rank, segments, ranks))
    forwards = _in_groups(mine, Kind.FORWARD, ranks, microbatches)
    backwards = _in_groups(mine[::-1], Kind.BACKWARD, ranks, microbatches)
    ahead = min(len(forwards), 2 * (ranks - rank - 1) + (len(mine) - 1) * min(ranks, microbatches))
    yield from forwards[:ahead]
    for forward, backward in zip(forwards[ahead:], backwards, strict=False):
        yield forward
        yield backward
    yield from backwards[len(forwards) - ahead :]


def _in_groups(segments: list[int], kind: Kind, size: int, microbatches: int) -> list[Task]:
    return [
        Task(segment, kind, microbatch)
        for first in range(0, microbatches, size)
        for segment in segments
        for microbatch in range(first, min(first + size, microbatches))
    ]
