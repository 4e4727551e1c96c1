"""How good partitions are against brute force on small trees, and how long 10,000 modules take."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from itertools import combinations, pairwise

import torch
from torch import nn

from shardyard_runtime.torch.partition.auto import assign

PARTITIONS = (2, 8, 64)


class Tree(nn.Module):
    """A module with a parameter of ``own`` elements, where that is above 0, and children."""

    def __init__(self, own: int, children: list[nn.Module]) -> None:
        super().__init__()
        if own:
            self.own = nn.Parameter(torch.empty(own, device="meta"))
        for index, child in enumerate(children):
            self.add_module(f"child{index}", child)


def small_tree(draw: random.Random, leaves: int) -> nn.Module:
    """Random in form, in which containers have parameters, and in sizes over three orders of magnitude."""
    if leaves == 1:
        return Tree(round(10 ** draw.uniform(0, 3)), [])
    cuts = sorted(draw.sample(range(1, leaves), draw.randint(1, min(3, leaves - 1))))
    parts = [b - a for a, b in pairwise([0, *cuts, leaves])]
    own = round(10 ** draw.uniform(0, 3)) if draw.random() < 0.3 else 0
    return Tree(own, [small_tree(draw, part) for part in parts])


def best_possible(sizes: list[int], partitions: int) -> int:
    """The dearest part of the best of all contiguous cuts, each of them tried."""
    inner = range(1, len(sizes))
    every = (cut for count in range(partitions) for cut in combinations(inner, count))
    return min(max(sum(sizes[a:b]) for a, b in pairwise([0, *cut, len(sizes)])) for cut in every)


def ratio(seed: int) -> float:
    """The dearest partition of one random tree over the best possible."""
    draw = random.Random(seed)
    root, partitions = small_tree(draw, draw.randint(1, 12)), draw.randint(2, 6)
    owner = assign(root, partitions).owner
    load, sizes = [0] * partitions, []
    for path, module in root.named_modules():
        own = sum(p.numel() for p in module.parameters(recurse=False))
        load[owner[path]] += own
        sizes += [own] if own else []
    return max(load) / best_possible(sizes, partitions)


def large_tree(form: str) -> nn.Module:
    """About 10,000 modules: equal blocks, random ones, or one embedding that outweighs everything."""
    draw = random.Random(1)

    def block() -> nn.Module:
        sizes = [100] * 4 if form == "even" else [draw.randint(1, 1000) for _ in range(4)]
        return Tree(0, [Tree(size, []) for size in sizes])

    stages = [Tree(0, [block() for _ in range(40)]) for _ in range(50)]
    return Tree(0, [Tree(10**7 if form == "skewed" else 100, []), *stages])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partition", description=__doc__)
    parser.add_argument("--trees", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ratios = [ratio(seed) for seed in range(options.trees)]
    print(
        f"{options.trees} trees of 1 to 12 leaves: median {statistics.median(ratios):.4f}, worst {max(ratios):.4f}"
    )
    seconds: dict[str, float] = {}
    modules = 0
    for form in ("even", "random", "skewed"):
        root = large_tree(form)
        modules = sum(1 for _ in root.modules())
        for partitions in PARTITIONS:
            taken = []
            for _ in range(options.repeats):
                begin = time.perf_counter()
                assign(root, partitions)
                taken.append(time.perf_counter() - begin)
            seconds[f"{form}_{partitions}"] = round(statistics.median(taken), 3)
            print(f"{modules} modules, {form}, {partitions} partitions: {statistics.median(taken):.3f} s")
    figures = {"ratio_median": statistics.median(ratios), "ratio_worst": round(max(ratios), 4)}
    goal = max(ratios) <= 1.02 and max(seconds.values()) <= 1
    print(
        json.dumps(
            {**figures, "trees": options.trees, "modules": modules, "seconds": seconds, "reached": goal}
        )
    )


if __name__ == "__main__":
    main()
