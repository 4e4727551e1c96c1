"""One rank of the foresight's test: who waits how often, shapes that depend on values, and a module that changes its mind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.torch.pipeline.foresight import Surprise

WIDTH, BLOCKS, MICROBATCHES = 16, 4, 4


class Picks(nn.Module):
    """As many rows come out as have a positive sum."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)[x.sum(1) > 0]


class Moody(nn.Module):
    """Returns a pair when ``pair`` is set, which no argument tells."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.pair = False

    def forward(self, x: torch.Tensor) -> Any:
        out = self.linear(x)
        return (out, out) if self.pair else out


class Net(nn.Module):
    def __init__(self, far: list[nn.Module]) -> None:
        super().__init__()
        self.near = nn.Linear(8, WIDTH)
        self.far = nn.ModuleList(far)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.near(x)
        for module in self.far:
            out = module(x)
            x = out[0] if isinstance(out, tuple) else out
        return x


@smp.step
def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    loss = model(x).square().mean()
    model.backward(loss)
    return loss


def placed(net: Net) -> Any:
    smp.state.model = None  # one model a script; the test runs several
    for module in net.modules():
        smp.set_partition(module, 0)
    for module in net.far.modules():
        smp.set_partition(module, 1)
    smp.set_partition(net.far, 0)
    return smp.DistributedModel(net)


def serial(net: Net, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    losses = []
    for part in x.chunk(MICROBATCHES):
        losses.append(net(part).square().mean())
        (losses[-1] / MICROBATCHES).backward()
    return torch.stack(losses).detach(), [p.grad for p in net.parameters() if p.grad is not None]


def equal(model: Any, reference: Net, x: torch.Tensor) -> None:
    for module in (model, reference):
        module.zero_grad(set_to_none=True)
    losses = train(model, x).stack()
    expected, gradients = serial(reference, x)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=0)
    mine = {id(p) for p in model.local_parameters()}
    for parameter, gradient in zip(model.get_module().parameters(), gradients, strict=True):
        if id(parameter) in mine:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-7)


def waits(model: Any, reference: Net) -> None:
    """Once a shape is known a microbatch waits for one answer: the gradient that its own part needs."""
    caller = smp.state.runtime.engine._caller
    asked, ask = [], caller._ask
    caller._ask = lambda *args: (asked.append(args[-1]), ask(*args))[1]
    for size in (8, 16):
        x = torch.randn(size, 8)
        asked.clear()
        equal(model, reference, x)
        assert smp.rank() != 0 or len(asked) > MICROBATCHES, asked  # each call of the first microbatch
        asked.clear()
        equal(model, reference, x)
        assert len(asked) == (MICROBATCHES if smp.rank() == 0 else 0), asked
    caller._ask = ask
    print(f"waits once rank={smp.rank()}", flush=True)


def main() -> None:
    torch.manual_seed(0)
    smp.init({"partitions": 2, "microbatches": MICROBATCHES, "auto_partition": False, "default_partition": 0})
    chain = Net([nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS)])
    waits(placed(copy.deepcopy(chain)), chain)

    picks = Net([nn.Linear(WIDTH, WIDTH), Picks(), nn.Linear(WIDTH, WIDTH)])
    model = placed(copy.deepcopy(picks))
    for _ in range(3):
        equal(model, picks, torch.randn(32, 8))
    print(f"values decide rank={smp.rank()}", flush=True)

    moody = Net([Moody()])
    model = placed(copy.deepcopy(moody))
    x = torch.randn(8, 8)
    equal(model, moody, x)
    model.get_module().far[0].pair = True
    with pytest.raises(RuntimeError) as raised:
        train(model, x)
    if smp.rank() == 0:
        assert isinstance(raised.value, Surprise)
        assert "module 'far.0'" in str(raised.value)
        assert "SHARDYARD_FORESIGHT=0" in str(raised.value)
    else:
        assert "rank 0 abandoned the step: Surprise: module 'far.0'" in str(raised.value)
    assert smp.state.runtime.engine.clean
    model.get_module().far[0].pair = False
    equal(model, moody, x)
    model.get_module().far[0].pair = True
    model.eval()  # another mode is another call
    moody.eval()
    equal(model, moody, x)
    print(f"surprised rank={smp.rank()}", flush=True)


if __name__ == "__main__":
    main()
