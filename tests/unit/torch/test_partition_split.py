"""Cuts of a sequence of costs, against brute force over all contiguous cuts."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.torch.partition.split import bottleneck, cuts

COSTS = st.lists(st.floats(0, 50), min_size=1, max_size=9)


def dearest(costs: list[float], begins: list[int]) -> float:
    return max(sum(costs[a:b]) for a, b in pairwise([0, *begins, len(costs)]))


def cheapest(costs: list[float], parts: int) -> float:
    """The dearest part of the best of all cuts."""
    inner = range(1, len(costs))
    return min(dearest(costs, list(begins)) for k in range(parts) for begins in combinations(inner, k))


@settings(deadline=None, max_examples=300)
@given(COSTS, st.integers(1, 6), st.integers(0, 2**32))
def test_the_dearest_part_is_as_cheap_as_can_be(costs: list[float], parts: int, seed: int) -> None:
    depth = [(seed >> i) % 4 for i in range(len(costs))]
    best = cheapest(costs, parts)
    assert bottleneck(costs, parts) == pytest.approx(best, abs=1e-12)
    begins = cuts(costs, parts, depth)
    assert all(a < b for a, b in pairwise([0, *begins, len(costs)]))
    assert len(begins) == min(parts, len(costs)) - 1
    assert dearest(costs, begins) <= 1.02 * best + 1e-12


@settings(deadline=None)
@given(COSTS, st.integers(2, 6), st.integers(0, 2**32))
def test_no_cut_within_the_slack_tears_less(costs: list[float], parts: int, seed: int) -> None:
    depth = [(seed >> i) % 4 for i in range(len(costs))]
    begins = cuts(costs, parts, depth)
    bound = 1.019 * cheapest(costs, parts)
    others = combinations(range(1, len(costs)), len(begins))
    torn = [sum(depth[i] for i in other) for other in others if dearest(costs, list(other)) <= bound]
    assert not torn or sum(depth[i] for i in begins) <= min(torn)


@pytest.mark.parametrize(
    ("costs", "parts", "depth", "expected"),
    [
        ([1, 1, 1, 1], 2, [1, 1, 1, 1], [2]),
        ([10, 1, 1, 1, 1], 3, [1] * 5, [1, 3]),  # beside the dearest, evenly
        ([50, 50.5, 49.5, 50], 2, [1, 2, 2, 1], [2]),
        ([50, 0.5, 49.5], 2, [1, 2, 1], [2]),  # half a percent worse than before the 0.5, and nothing torn
        ([0, 0, 0], 2, [1, 1, 1], [1]),
        ([3], 4, [1], []),
    ],
)
def test_known_cuts(costs: list[float], parts: int, depth: list[int], expected: list[int]) -> None:
    assert cuts(costs, parts, depth) == expected


def test_many_candidates_still_make_a_solution() -> None:
    costs = [1000.0, *[0.5] * 400]  # the first alone is the dearest: every other cut may be anywhere
    begins = cuts(costs, 7, [1] * len(costs))
    assert begins[0] == 1
    parts = [b - a for a, b in pairwise([*begins, len(costs)])]
    assert max(parts) - min(parts) <= 8
