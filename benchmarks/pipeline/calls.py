"""One of two ranks: what a call of a module elsewhere costs, forward and backward, when the module does nothing."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp

CALLS, STEPS, WARM = 50, 15, 3


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(4, 4), nn.ModuleList(Nothing() for _ in range(CALLS))

    def forward(self, x: torch.Tensor, calls: int) -> torch.Tensor:
        x = self.near(x)
        for module in self.far[:calls]:
            x = module(x)
        return x


@smp.step
def train(model: Any, x: torch.Tensor, calls: int) -> torch.Tensor:
    loss = model(x, calls).sum()
    model.backward(loss)
    return loss


def main() -> None:
    smp.init({"partitions": 2, "microbatches": 1, "auto_partition": False, "default_partition": 0})
    net = Net()
    for module in net.far:
        smp.set_partition(module, 1)
    model = smp.DistributedModel(net)
    x = torch.randn(4, 4)
    found: dict[int, list[float]] = {1: [], CALLS: []}
    for turn in range(WARM + STEPS):
        for calls, seconds in found.items():
            smp.barrier()
            start = time.perf_counter()
            train(model, x, calls)
            if turn >= WARM:
                seconds.append(time.perf_counter() - start)
    more = [(many - one) / (CALLS - 1) for one, many in zip(found[1], found[CALLS], strict=True)]
    if smp.rank() == 0:
        first = statistics.median(found[1])
        each = statistics.median(more)
        print(
            json.dumps(
                {
                    "remote_call_microseconds": round(each * 1e6, 1),
                    "step_with_one_call_microseconds": round(first * 1e6, 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
