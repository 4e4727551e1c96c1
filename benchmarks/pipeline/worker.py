"""One of two ranks: a step of ours and one of each schedule of torch.distributed.pipelining, in turn, on the same split."""

from __future__ import annotations

import copy
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
    ScheduleLoopedBFS,
    ScheduleZBVZeroBubble,
)

import smdistributed.modelparallel.torch as smp
from benchmarks.pairs import ratio
from benchmarks.pipeline.gpt import LAYERS, LENGTH, VOCABULARY, Gpt, Stage, loss_of
from benchmarks.pipeline.steps import ours, timed

MICROBATCHES, SAMPLES, PAIRS, WARM = 8, 2, 15, 3


def halved(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    last = [*gpt.blocks[LAYERS // 2 :], gpt.head]
    for module in gpt.modules():
        smp.set_partition(module, 0)
    for module in (m for part in last for m in part.modules()):
        smp.set_partition(module, 1)
    return ours(gpt, tokens, labels)


def peer(
    kind: Any, mine: Sequence[int], gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor
) -> Callable[[], Any]:
    """``mine`` are the stages of this rank, of as many as all ranks have together."""
    total = smp.size() * len(mine)
    each = LAYERS // total
    stages = [
        PipelineStage(
            Stage(gpt, which == 0, slice(which * each, (which + 1) * each), which == total - 1),
            which,
            total,
            torch.device("cpu"),
        )
        for which in mine
    ]
    schedule = kind(stages if len(stages) > 1 else stages[0], MICROBATCHES, loss_fn=loss_of)
    inputs = (tokens,) if 0 in mine else ()
    target = {"target": labels} if total - 1 in mine else {}
    return lambda: schedule.step(*inputs, **target)


def peers(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Every schedule that the peer has: one stage a rank, two in a loop, two in a V."""
    rank = smp.rank()
    loop, v = (rank, rank + 2), (rank, 3 - rank)
    kinds = {
        "1f1b": (Schedule1F1B, (rank,)),
        "gpipe": (ScheduleGPipe, (rank,)),
        "interleaved_1f1b": (ScheduleInterleaved1F1B, loop),
        "looped_bfs": (ScheduleLoopedBFS, loop),
        "interleaved_zero_bubble": (ScheduleInterleavedZeroBubble, loop),
        "zbv": (ScheduleZBVZeroBubble, v),
    }
    return {
        name: peer(kind, mine, copy.deepcopy(gpt), tokens, labels) for name, (kind, mine) in kinds.items()
    }


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
    sides = {"ours": halved(copy.deepcopy(gpt), tokens, labels), **peers(gpt, tokens, labels)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(WARM + PAIRS):
        for name, step in sides.items():
            taken = timed(step)
            if turn >= WARM:
                seconds[name].append(taken)
    if smp.rank() == 0:
        ratios = {name: ratio(seconds[name], seconds["ours"]) for name in sides if name != "ours"}
        found = {
            "parameters": parameters,
            "ours_seconds": statistics.median(seconds["ours"]),
            "ratios": {name: str(one) for name, one in ratios.items()},
            "medians": {name: one.median for name, one in ratios.items()},
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
