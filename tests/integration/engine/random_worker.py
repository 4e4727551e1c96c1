"""One rank of the random numbers' test: what a model draws does not depend on placement, order or recomputation.

Prints losses and gradients' sums as JSON; the test compares runs with different numbers of partitions.
"""

from __future__ import annotations

import json
import sys

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import smdistributed.modelparallel.torch as smp


class Noisy(nn.Module):
    """Draws itself, calls a module that draws twice, and skips layers at random."""

    def __init__(self, recompute: bool) -> None:
        super().__init__()
        self.lift = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.3), nn.Linear(16, 16))
        self.drop = nn.Dropout(0.5)
        self.recompute = recompute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.recompute:
            return checkpoint(self.twice, x, use_reentrant=False)
        return self.twice(x)

    def twice(self, x: torch.Tensor) -> torch.Tensor:
        y = self.drop(self.lift(x))
        if torch.rand(()) < 0.5:
            y = y + torch.randn_like(y)
        return self.drop(y)[:, :8] + x


class Net(nn.Module):
    def __init__(self, recompute: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Noisy(recompute) for _ in range(4))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + torch.rand_like(x)
        for block in [*self.blocks, self.blocks[0]]:
            x = block(x)
        return self.head(x)


def main() -> None:
    parameters = json.loads(sys.argv[1])
    recompute = parameters.pop("recompute")
    smp.init(parameters)
    torch.manual_seed(11)
    model = smp.DistributedModel(Net(recompute))
    x = torch.randn(8, 8)
    losses = []

    @smp.step
    def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        loss = (model(x) + torch.rand(())).square().mean()
        model.backward(loss)
        return loss

    before = torch.get_rng_state()
    for _ in range(3):
        losses += [loss.item() for loss in train(model, x).outputs]
    assert torch.equal(before, torch.get_rng_state()), "a step moved the script's own random numbers"
    mine = {
        name: p.grad.double().sum().item() for name, p in model.local_named_parameters() if p.grad is not None
    }
    gradients: dict[str, float] = {}
    for part in smp.allgather(mine, smp.PP_GROUP):
        gradients.update(part)
    if smp.rank() == 0:
        print(json.dumps({"losses": losses, "gradients": gradients}), flush=True)


if __name__ == "__main__":
    main()
