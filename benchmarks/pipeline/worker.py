"""One of two ranks: a step of ours and a step of torch.distributed.pipelining, alternately, on the same split."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

import smdistributed.modelparallel.torch as smp
from benchmarks.pairs import ratio
from benchmarks.pipeline.gpt import LAYERS, LENGTH, VOCABULARY, Gpt, Stage, loss_of

MICROBATCHES, SAMPLES, PAIRS, WARM = 8, 2, 15, 3


def ours(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    last = [*gpt.blocks[LAYERS // 2 :], gpt.head]
    for module in gpt.modules():
        smp.set_partition(module, 0)
    for module in (m for part in last for m in part.modules()):
        smp.set_partition(module, 1)
    model = smp.DistributedModel(gpt)

    @smp.step
    def train(model: Any, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = loss_of(model(tokens), labels)
        model.backward(loss)
        return loss

    return lambda: train(model, tokens, labels)


def peer(kind: Any, gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    rank = smp.rank()
    half = LAYERS // 2
    module = Stage(gpt, rank == 0, slice(0, half) if rank == 0 else slice(half, LAYERS), rank == 1)
    schedule = kind(PipelineStage(module, rank, 2, torch.device("cpu")), MICROBATCHES, loss_fn=loss_of)
    if rank == 0:
        return lambda: schedule.step(tokens)
    return lambda: schedule.step(target=labels)


def timed(step: Callable[[], Any]) -> float:
    smp.barrier()
    start = time.perf_counter()
    step()
    smp.barrier()
    return time.perf_counter() - start


def main() -> None:
    torch.manual_seed(0)
    parameters = json.loads(sys.argv[1])
    smp.init(
        {
            "partitions": 2,
            "microbatches": MICROBATCHES,
            "auto_partition": False,
            "default_partition": 0,
            **parameters,
        }
    )
    gpt = Gpt()
    tokens = torch.randint(0, VOCABULARY, (MICROBATCHES * SAMPLES, LENGTH))
    labels = torch.randint(0, VOCABULARY, (MICROBATCHES * SAMPLES, LENGTH))
    sides = {
        "ours": ours(copy.deepcopy(gpt), tokens, labels),
        "1f1b": peer(Schedule1F1B, copy.deepcopy(gpt), tokens, labels),
        "gpipe": peer(ScheduleGPipe, copy.deepcopy(gpt), tokens, labels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(WARM + PAIRS):
        for name, step in sides.items():
            taken = timed(step)
            if turn >= WARM:
                seconds[name].append(taken)
    if smp.rank() == 0:
        found = {
            "parameters": parameters,
            "ours_seconds": sorted(seconds["ours"])[PAIRS // 2],
            "ratio_vs_torch_1f1b": str(ratio(seconds["1f1b"], seconds["ours"])),
            "ratio_vs_torch_gpipe": str(ratio(seconds["gpipe"], seconds["ours"])),
            "median": ratio(seconds["1f1b"], seconds["ours"]).median,
            "median_gpipe": ratio(seconds["gpipe"], seconds["ours"]).median,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
