"""Automatic partitioning: what goes where."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shardyard_runtime.torch.partition import auto


def assign(root: nn.Module, partitions: int) -> dict[str, int]:
    return auto.assign(root, partitions).owner


TREES = st.recursive(st.integers(1, 6), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=10)


def built(tree: Any) -> nn.Module:
    """A number is a weighty leaf of that width, a list a container; a ReLU stands in each container."""
    if isinstance(tree, int):
        return nn.Linear(tree, tree)
    return nn.Sequential(*[built(one) for one in tree], nn.ReLU())


def weighty(root: nn.Module) -> list[str]:
    return [path for path, module in root.named_modules() if list(module.parameters(recurse=False))]


@settings(deadline=None, max_examples=200)
@given(TREES, st.integers(1, 6))
def test_every_partition_gets_parameters_when_there_are_enough_leaves(tree: Any, partitions: int) -> None:
    root = built(tree)
    owner = assign(root, partitions)
    used = {owner[path] for path in weighty(root)}
    assert set(owner) == {path for path, _ in root.named_modules()}
    assert set(owner.values()) <= set(range(partitions))
    assert len(used) == min(partitions, len(weighty(root)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 6))
def test_a_chain_is_cut_into_contiguous_pieces(widths: list[int], partitions: int) -> None:
    owner = assign(nn.Sequential(*[nn.Linear(w, w) for w in widths]), partitions)
    order = [owner[str(i)] for i in range(len(widths))]
    assert order == sorted(order)
    assert owner[""] == 0


def test_a_chain_is_cut_by_parameter_count() -> None:
    root = nn.Sequential(nn.Linear(30, 30), *[nn.Linear(10, 10) for _ in range(8)])
    owner = assign(root, 2)
    assert [owner[str(i)] for i in range(9)] == [0, *[1] * 8]


def test_without_parameters_a_module_is_with_its_parent() -> None:
    root = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout()), nn.Tanh())
    owner = assign(root, 2)
    assert owner["1"] == owner["1.1"] == owner["1.2"] == 1
    assert owner["2"] == owner[""] == 0


def test_multihead_attention_is_never_cut() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

    owner = assign(Net(), 3)
    assert owner["attention.out_proj"] == owner["attention"]
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False)
    owner = assign(layers, 8)
    assert len(set(owner.values())) == 8
    for layer in range(2):
        assert owner[f"layers.{layer}.self_attn.out_proj"] == owner[f"layers.{layer}.self_attn"]


def test_shared_parameters_are_together() -> None:
    root = nn.Sequential(*[nn.Linear(4, 4, bias=False) for _ in range(6)])
    root[5].weight = root[0].weight
    owner = assign(root, 3)
    assert owner["5"] == owner["0"] == 0
    assert set(owner.values()) == {0, 1, 2}


def test_a_module_that_shares_with_two_others_brings_them_together() -> None:
    root = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    first, last = root[0], root[3]
    joint = nn.Module()
    joint.a, joint.b = first.weight, last.weight
    root.append(joint)
    owner = assign(root, 4)
    assert owner["0"] == owner["3"] == owner["4"] == 0


@pytest.mark.parametrize("partitions", [1, 2, 3])
def test_one_module_in_several_places_has_one_partition_and_every_path(partitions: int) -> None:
    act, block = nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    root = nn.Sequential(nn.Linear(4, 4), act, nn.Sequential(nn.Linear(4, 4), act), act, block, block)
    owner = assign(root, partitions)
    assert set(owner) == {path for path, _ in root.named_modules(remove_duplicate=False)}
    homes: dict[int, int] = {}
    for path, module in root.named_modules(remove_duplicate=False):
        assert homes.setdefault(id(module), owner[path]) == owner[path], path


def own(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters(recurse=False))


class Branch(nn.Module):
    """A container with a parameter of its own, of the given size."""

    def __init__(self, size: int, children: list[nn.Module]) -> None:
        super().__init__()
        if size:
            self.own = nn.Parameter(torch.zeros(size))
        for i, child in enumerate(children):
            self.add_module(f"c{i}", child)


SIZED = st.recursive(
    st.integers(1, 40).map(lambda size: Branch(size, [])),
    lambda inner: st.builds(Branch, st.integers(0, 20), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=11,
)


@settings(deadline=None, max_examples=400)
@given(SIZED, st.integers(1, 5))
def test_the_dearest_partition_is_within_2_percent_of_brute_force(root: nn.Module, partitions: int) -> None:
    sizes = [own(module) for module in root.modules() if own(module)]
    inner = range(1, len(sizes))
    every = (cut for count in range(partitions) for cut in combinations(inner, count))
    best = min(max(sum(sizes[a:b]) for a, b in pairwise([0, *cut, len(sizes)])) for cut in every)
    owner = assign(root, partitions)
    load = [0] * partitions
    for path, module in root.named_modules():
        load[owner[path]] += own(module)
    assert max(load) <= 1.02 * best


def test_whole_blocks_are_preferred_within_the_slack() -> None:
    blocks = [nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 100)) for _ in range(4)]
    root = nn.Sequential(nn.Linear(2, 100), *blocks)  # the even cut would take a layer out of a block
    owner = assign(root, 2)
    assert [owner[str(i)] for i in range(5)] == [0, 0, 0, 1, 1]


def test_a_container_is_with_what_it_runs_first() -> None:
    root = nn.Sequential(nn.Linear(4, 4), nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Linear(4, 4))]))
    owner = assign(root, 2)
    assert owner["1"] == owner["1.0"] == owner["1.0.0"] == owner["1.0.1"] == 1
