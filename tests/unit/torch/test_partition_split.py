"""Contiguous segments against brute force; seats by d'Hondt."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.torch.partition.split import dhondt, segments

COSTS = st.lists(st.integers(0, 50), min_size=1, max_size=9)


def cheapest(costs: list[int], count: int) -> int:
    """The dearest segment of the best of all cuts into ``count`` or fewer."""
    n = len(costs)
    found = []
    for used in range(1, min(count, n) + 1):
        for inner in combinations(range(1, n), used - 1):
            edges = [0, *inner, n]
            found.append(max(sum(costs[a:b]) for a, b in pairwise(edges)))
    return min(found)


@settings(deadline=None)
@given(COSTS, st.integers(1, 6))
def test_segments_are_contiguous_and_the_dearest_is_as_cheap_as_can_be(costs: list[int], count: int) -> None:
    cuts = segments(costs, count)
    assert [i for cut in cuts for i in cut] == list(range(len(costs)))
    assert 1 <= len(cuts) <= count
    assert all(len(cut) for cut in cuts)
    assert max(sum(costs[i] for i in cut) for cut in cuts) == cheapest(costs, count)


def test_ties_go_to_the_earliest_cut() -> None:
    assert segments([1, 1, 1], 2) == [range(1), range(1, 3)]


@pytest.mark.parametrize(
    ("costs", "seats", "expected"),
    [
        ([0.1, 0.8, 0.1], 8, [1, 7, 0]),
        ([0.7, 0.3], 8, [6, 2]),
        ([100, 80, 30, 20], 8, [4, 3, 1, 0]),
        ([1, 1], 3, [2, 1]),
    ],
)
def test_dhondt_known_results(costs: list[float], seats: int, expected: list[int]) -> None:
    assert dhondt(costs, seats) == expected


def test_a_party_gets_no_more_than_its_capacity() -> None:
    assert dhondt([0.1, 0.8, 0.1], 8, [2, 3, 9]) == [2, 3, 3]
    assert dhondt([5, 1], 8, [1, 2]) == [1, 2]  # five seats that nobody can use


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 5)), min_size=1, max_size=6), st.integers(0, 12)
)
def test_dhondt_deals_all_that_fits_and_no_seat_is_better_elsewhere(
    parties: list[tuple[int, int]], seats: int
) -> None:
    costs, capacity = [c for c, _ in parties], [k for _, k in parties]
    given_ = dhondt(costs, seats, capacity)
    assert sum(given_) == min(seats, sum(capacity))
    assert all(g <= k for g, k in zip(given_, capacity, strict=True))
    for i, mine in enumerate(given_):
        for j, theirs in enumerate(given_):
            if mine and theirs < capacity[j]:  # the last seat of i was worth at least the next one of j
                assert costs[i] * (theirs + 1) >= costs[j] * mine
