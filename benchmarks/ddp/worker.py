"""One of two replicas: a step of ours and a step of DistributedDataParallel, alternately. Argument: microbatches."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

import smdistributed.modelparallel.torch as smp
from benchmarks.pairs import ratio
from benchmarks.pipeline.gpt import LENGTH, VOCABULARY, Gpt, loss_of
from benchmarks.pipeline.steps import ours as training
from benchmarks.pipeline.steps import timed

BATCH, PAIRS, WARM = 8, 25, 4


def ours(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    train = training(gpt, tokens, labels)

    def step() -> None:
        for parameter in gpt.parameters():
            parameter.grad = None
        train()

    return step


def peer(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor, microbatches: int) -> Callable[[], Any]:
    model = DistributedDataParallel(gpt)
    parts = list(zip(tokens.chunk(microbatches), labels.chunk(microbatches), strict=True))

    def step() -> None:
        for parameter in gpt.parameters():
            parameter.grad = None
        for number, (some, right) in enumerate(parts, 1):
            with contextlib.nullcontext() if number == microbatches else model.no_sync():
                (loss_of(model(some), right) / microbatches).backward()

    return step


def main() -> None:
    microbatches = int(sys.argv[1])
    smp.init({"partitions": 1, "microbatches": microbatches, "ddp": True})
    torch.manual_seed(0)
    gpt, other = Gpt(), Gpt()
    other.load_state_dict(gpt.state_dict())
    torch.manual_seed(1 + smp.dp_rank())
    tokens = torch.randint(0, VOCABULARY, (BATCH, LENGTH))
    labels = torch.randint(0, VOCABULARY, (BATCH, LENGTH))
    sides = {
        "ours": ours(gpt, tokens, labels),
        "ddp": peer(other, tokens, labels, microbatches),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(WARM + PAIRS):
        for name in sorted(sides, reverse=bool(turn % 2)):
            taken = timed(sides[name])
            if turn >= WARM:
                seconds[name].append(taken)
    for mine, theirs in zip(gpt.parameters(), other.parameters(), strict=True):
        assert (mine.grad - theirs.grad).abs().max() <= 1e-4 * theirs.grad.abs().max()
    if smp.rank() == 0:
        found = {
            "microbatches": microbatches,
            "ours_seconds": sorted(seconds["ours"])[PAIRS // 2],
            "ddp_seconds": sorted(seconds["ddp"])[PAIRS // 2],
            "ratio": str(ratio(seconds["ddp"], seconds["ours"])),
            "ratio_vs_torch_ddp": ratio(seconds["ddp"], seconds["ours"]).median,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
