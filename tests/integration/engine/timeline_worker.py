"""One rank of the timeline's test: a few steps of training and evaluation. Rank 1's clock is another host's."""

from __future__ import annotations

import os
import sys
import time

RATE, AHEAD = 1.00002, 7_000 * 10**9
if os.environ.get("OMPI_COMM_WORLD_RANK") == "1":
    _true = time.monotonic_ns
    time.monotonic_ns = lambda: int(_true() * RATE) + AHEAD  # before the recorder takes it

import json  # noqa: E402

import torch  # noqa: E402
from torch import nn  # noqa: E402

import smdistributed.modelparallel.torch as smp  # noqa: E402

MICROBATCHES, ACTIVE, STEPS, KEPT = 6, 3, 5, 3


def main() -> None:
    parameters = json.loads(sys.argv[1])
    smp.init({"microbatches": MICROBATCHES, "active_microbatches": ACTIVE, **parameters})
    torch.manual_seed(0)
    model = smp.DistributedModel(nn.Sequential(*(nn.Linear(32, 32) for _ in range(4))))
    optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))

    @smp.step
    def train_step(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        loss = (model(x) - x).square().mean()
        model.backward(loss)
        return loss

    @smp.step
    def evaluate(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": model(x)}

    x = torch.randn(4 * MICROBATCHES, 32)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses.append(float(train_step(model, x).reduce_mean()))
        optimizer.step()
    with torch.no_grad():
        evaluate(model, x)
    time.sleep(0.3)  # for the clocks to part
    if smp.rank() == 0:
        print(json.dumps(losses), flush=True)


if __name__ == "__main__":
    main()
