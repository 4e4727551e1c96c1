"""One rank, one partition: a step of ours and the same microbatches in a plain loop, alternately."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import torch

import smdistributed.modelparallel.torch as smp
from benchmarks.pairs import ratio
from benchmarks.pipeline.gpt import LENGTH, VOCABULARY, Gpt, loss_of
from benchmarks.pipeline.steps import ours, timed
from benchmarks.pipeline.worker import MICROBATCHES, SAMPLES

PAIRS, WARM = 25, 3


def plain(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    def train() -> None:
        for some, right in zip(tokens.chunk(MICROBATCHES), labels.chunk(MICROBATCHES), strict=True):
            (loss_of(gpt(some), right) / MICROBATCHES).backward()

    return train


def main() -> None:
    smp.init({"partitions": 1, "microbatches": MICROBATCHES})
    torch.manual_seed(0)
    gpt = Gpt()
    tokens = torch.randint(0, VOCABULARY, (MICROBATCHES * SAMPLES, LENGTH))
    labels = torch.randint(0, VOCABULARY, (MICROBATCHES * SAMPLES, LENGTH))
    sides = {
        "plain": plain(copy.deepcopy(gpt), tokens, labels),
        "ours": ours(gpt, tokens, labels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(WARM + PAIRS):
        for name in sorted(sides, reverse=bool(turn % 2)):
            taken = timed(sides[name])
            if turn >= WARM:
                seconds[name].append(taken)
    found = ratio(seconds["ours"], seconds["plain"])
    print(json.dumps({"single_device_overhead": found.median - 1, "ours_over_plain": str(found)}), flush=True)


if __name__ == "__main__":
    main()
