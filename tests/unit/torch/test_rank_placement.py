"""Where ranks stand: the examples of the documentation."""

from __future__ import annotations

from itertools import permutations

import pytest

from shardyard_runtime.config.placement import Group, Placement


@pytest.mark.parametrize(
    ("strategy", "pipelines", "replicas"),
    [
        ("cluster", [(0, 1), (2, 3), (4, 5), (6, 7)], [(0, 2, 4, 6), (1, 3, 5, 7)]),
        ("spread", [(0, 4), (1, 5), (2, 6), (3, 7)], [(0, 1, 2, 3), (4, 5, 6, 7)]),
    ],
)
def test_eight_ranks_two_partitions(
    strategy: str, pipelines: list[tuple[int, ...]], replicas: list[tuple[int, ...]]
) -> None:
    placement = Placement(2, 1, 4, strategy)
    assert placement.groups(Group.PP) == pipelines
    assert placement.groups(Group.RDP) == placement.groups(Group.DP) == replicas


@pytest.mark.parametrize(
    ("strategy", "expected"), [("DPT", {"D": 1, "P": 0, "T": 1}), ("PTD", {"D": 1, "P": 1, "T": 0})]
)
def test_rank_five_of_eight(strategy: str, expected: dict[str, int]) -> None:
    placement = Placement(2, 2, 2, strategy)
    assert placement.coordinates(5) == expected
    kinds = {"D": Group.RDP, "P": Group.PP, "T": Group.TP}
    assert {letter: placement.rank_in(kind, 5) for letter, kind in kinds.items()} == expected


@pytest.mark.parametrize("strategy", ["cluster", "spread", *map("".join, permutations("DPT"))])
def test_groups_of_a_kind_share_out_the_ranks(strategy: str) -> None:
    placement = Placement(2, 3, 2, strategy)
    sizes = {Group.WORLD: 12, Group.PP: 2, Group.TP: 3, Group.RDP: 2, Group.DP: 6, Group.MP: 6}
    for kind, size in sizes.items():
        groups = placement.groups(kind)
        assert sorted(rank for group in groups for rank in group) == list(range(12))
        assert {len(group) for group in groups} == {size}
        for group in groups:
            assert [placement.rank_in(kind, rank) for rank in group] == list(range(size))


def test_what_is_no_placement_is_refused() -> None:
    with pytest.raises(ValueError, match="pipeline: 0"):
        Placement(0, 1, 1)
    with pytest.raises(ValueError, match="'DDT'"):
        Placement(1, 1, 1, "DDT")
    with pytest.raises(ValueError, match=r"outside 0\.\.3"):
        Placement(2, 1, 2).coordinates(4)
