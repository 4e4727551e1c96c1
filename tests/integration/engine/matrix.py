"""The configurations under which every case equals its serial run."""

from __future__ import annotations

import itertools
from typing import Any

PARTITIONS, REPLICAS, MICROBATCHES, PIPELINES = (1, 2, 3, 4), (1, 2), (1, 2, 4, 8), ("simple", "interleaved")
ACTIVE = (1, 2, None)  # None: the default, partitions + 2
FACTORS = {
    "partitions": PARTITIONS,
    "replicas": REPLICAS,
    "microbatches": MICROBATCHES,
    "pipeline": PIPELINES,
    "active_microbatches": ACTIVE,
    "manual": (False, True),
}
Row = dict[str, Any]


def everything() -> list[Row]:
    """All of partitions × replicas × microbatches × pipeline, as many active microbatches as there are by default."""
    rows = itertools.product(PARTITIONS, REPLICAS, MICROBATCHES, PIPELINES)
    names = list(FACTORS)
    return [dict(zip(names, (*row, None, index % 3 == 0), strict=True)) for index, row in enumerate(rows)]


def pairwise() -> list[Row]:
    """Rows in which every two values of two factors meet at least once; chosen greedily."""
    names = list(FACTORS)
    candidates = [dict(zip(names, row, strict=True)) for row in itertools.product(*FACTORS.values())]
    missing = set().union(*(_pairs(row) for row in candidates))
    rows = []
    while missing:
        best = max(candidates, key=lambda row: len(_pairs(row) & missing))
        missing -= _pairs(best)
        rows.append(best)
    return rows


def _pairs(row: Row) -> set[Any]:
    return set(itertools.combinations(row.items(), 2))
