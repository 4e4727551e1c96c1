"""One rank of the test of ``deterministic_server``, 2 partitions × 2 replicas. Arguments: parameters as JSON.

Modules on both partitions sum over the replicas, forward and backward: each sum has to meet its own microbatch's,
although the replicas are quick and slow at different microbatches.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import smdistributed.modelparallel.torch as smp

STEPS = 3
FAILS = sys.argv[2:] == ["fails"]


class Together(torch.autograd.Function):
    """Adds what all replicas have; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        dist.all_reduce(total, group=smp.get_dp_process_group())
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total, group=smp.get_dp_process_group())
        return total


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pause(x)
        x = torch.tanh(self.linear(x))
        return x if FAILS else Together.apply(x)  # with one replica gone a collective would not end


def pause(x: torch.Tensor) -> None:
    """Of a length that depends on the data, and so on microbatch and replica."""
    time.sleep(float(x.detach().abs().sum() * 997 % 1) / 50)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = Layer(), Layer(), Layer(), Layer()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        return self.d(self.c(self.b(x)) + x)


@smp.step
def train(model: Any, x: torch.Tensor) -> torch.Tensor:
    loss = model(x).square().mean()
    if FAILS and smp.dp_rank() == 0:
        raise KeyError("on the first replica")
    model.backward(loss)
    return loss


class Serial(nn.Module):
    """Both replicas in one: the sum of what each has, for both."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def layer(module: Layer, x: torch.Tensor) -> torch.Tensor:
            total = torch.tanh(module.linear(x)).sum(0, keepdim=True)
            return total.expand_as(x)

        first = layer(self.net.a, x)
        return layer(self.net.d, layer(self.net.c, layer(self.net.b, first)) + first)


def main() -> None:
    smp.init(
        {
            "partitions": 2,
            "ddp": True,
            "deterministic_server": True,
            "auto_partition": False,
            "default_partition": 0,
            "skip_tracing": True,
            **json.loads(sys.argv[1]),
        }
    )
    torch.manual_seed(0)
    net, twin = Net(), Net()
    twin.load_state_dict(net.state_dict())
    for module in (net.b, net.d):
        smp.set_partition(module, 1)
    model = smp.DistributedModel(net)
    count = smp.num_microbatches()
    draw = torch.Generator().manual_seed(1)
    if FAILS:
        with pytest.raises((KeyError, smp.exceptions.PeerFailed)):
            train(model, torch.ones(count, 4))
        smp.barrier()
        print(f"left rank={smp.rank()}", flush=True)
        return
    reference = Serial(twin)
    for _ in range(STEPS):
        x = torch.randn(2, 2 * count, 4, generator=draw)
        twin.zero_grad()
        for p in model.parameters():
            p.grad = None
        losses = train(model, x[smp.dp_rank()]).outputs
        for index, part in enumerate(x.chunk(count, 1)):
            right = reference(part).square().mean((1, 2))
            # Each replica's loss, and gradients averaged over replicas and microbatches.
            assert abs(losses[index] - right[smp.dp_rank()]) <= 1e-5 * abs(right[smp.dp_rank()]), index
            (right.sum() / 2 / count).backward()
        theirs = dict(twin.named_parameters())
        for name, p in model.local_named_parameters():
            assert (p.grad - theirs[name].grad).abs().max() <= 1e-5 * theirs[name].grad.abs().max(), name
    assert smp.state.runtime.engine.clean
    print(f"ordered rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
