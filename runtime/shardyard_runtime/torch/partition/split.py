"""Contiguous min-max segments and d'Hondt: the two pieces of arithmetic under automatic partitioning."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def segments(costs: Sequence[float], count: int) -> list[range]:
    """Cuts ``costs`` into at most ``count`` contiguous ranges so that the dearest range is as cheap as can be.

    Dynamic programming over (segments, end), O(count * n^2). Ties go to the earliest cut.
    """
    n = len(costs)
    count = max(1, min(count, n))
    prefix = [0.0, *accumulate(costs)]
    best = [[prefix[j] for j in range(n + 1)]]
    cut: list[list[int]] = [[0] * (n + 1)]
    for _ in range(1, count):
        row, cuts = [0.0] * (n + 1), [0] * (n + 1)
        for j in range(1, n + 1):
            row[j], cuts[j] = min((max(best[-1][i], prefix[j] - prefix[i]), i) for i in range(j))
        best.append(row)
        cut.append(cuts)
    ranges: list[range] = []
    end = n
    for k in range(count - 1, -1, -1):
        start = cut[k][end]
        if end > start:
            ranges.append(range(start, end))
        end = start
    return ranges[::-1]


def dhondt(costs: Sequence[float], seats: int, capacity: Sequence[int] | None = None) -> list[int]:
    """Seats per party, each to the highest quotient cost / (seats + 1); ties go to the first.

    A party never gets more than its ``capacity``; seats that nobody can use stay undealt.
    """
    given = [0] * len(costs)
    for _ in range(seats):
        open_ = [i for i in range(len(costs)) if capacity is None or given[i] < capacity[i]]
        if not open_:
            break
        winner = max(open_, key=lambda i: (costs[i] / (given[i] + 1), -i))
        given[winner] += 1
    return given
