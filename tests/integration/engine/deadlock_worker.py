"""One rank of the deadlocks' test. Argument: the case, which never ends by itself unless it is named ``slow``."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import smdistributed.modelparallel.torch as smp


class Waits(nn.Module):
    """Waits on its owner for what nobody sends."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if sys.argv[1] == "module":
            smp.recv_from(0)
        return self.linear(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(4, 4), Waits()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.far(self.near(x))


@smp.step
def train(model: Any, x: torch.Tensor) -> torch.Tensor:
    if sys.argv[1] == "slow" and smp.pp_rank() == 0:
        time.sleep(1.5)
    loss = model(x).square().mean()
    model.backward(loss)
    return loss


def built() -> Any:
    net = Net()
    smp.set_partition(net.far, 1)
    return smp.DistributedModel(net)


def nobody_sends() -> None:
    smp.recv_from((smp.rank() + 1) % smp.size())


def one_skips() -> None:
    """Rank 1 takes part in one step less, and goes on to the next thing."""
    model = built()
    for number in range(2):
        if number == 0 or smp.rank() == 0:
            train(model, torch.ones(4, 4))
    smp.barrier()


def module() -> None:
    train(built(), torch.ones(4, 4))


def mismatched() -> None:
    if smp.rank() == 0:
        dist.all_reduce(torch.ones(1))
    else:
        smp.barrier()


def ends() -> None:
    """Rank 1's script is over before the others are."""
    model = built()
    train(model, torch.ones(4, 4))
    if smp.rank() != 1:
        train(model, torch.ones(4, 4))


def part() -> None:
    """Ranks 0 and 1 wait for each other; rank 2 computes on."""
    if smp.rank() < 2:
        smp.recv_from(1 - smp.rank())
    time.sleep(600)


def slow() -> None:
    """Every rank but one waits for long, in every way, while the one is busy; more ranks than most machines have cores."""
    model = built()
    for _ in range(2):
        train(model, torch.ones(4, 4))
    if smp.rank() == smp.size() - 1:
        time.sleep(3)
        for peer in range(smp.size() - 1):
            smp.send("late", peer)
    else:
        assert smp.recv_from(smp.size() - 1) == "late"
    for work in (lambda: dist.all_reduce(torch.ones(1)), smp.barrier):
        if smp.rank() == 0:
            time.sleep(3)
        work()


CASES = {f.__name__: f for f in (nobody_sends, one_skips, module, mismatched, ends, part, slow)}


def main() -> None:
    ranks = smp.size
    smp.init({"partitions": {"slow": 4, "part": 3}.get(sys.argv[1], 2), "microbatches": 2, **MANUAL})
    assert ranks() > 1
    CASES[sys.argv[1]]()
    print(f"over rank={smp.rank()}", flush=True)


MANUAL = {"auto_partition": False, "default_partition": 0}

if __name__ == "__main__":
    main()
