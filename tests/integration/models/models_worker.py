"""One rank: each model partitioned by itself, its losses and gradients those of the serial run. Argument: parameters."""

from __future__ import annotations

import json
import sys
import traceback

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.models.zoo import CASES, Case

STEPS = 2


def run(case: Case) -> int:
    """Trains both; returns the number of partitions with parameters."""
    torch.manual_seed(5)
    reference = case.build()
    torch.manual_seed(5)
    with smp.delay_param_initialization(enabled=smp.pp_size() == 4):
        net = case.build()
    smp.state.model = None  # one model a script; the test runs several
    model = smp.DistributedModel(net)
    optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), 0.05))
    expected = torch.optim.SGD(reference.parameters(), 0.05)

    @smp.step
    def train(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = case.loss(model, batch)
        model.backward(loss)
        return loss

    count = smp.num_microbatches()
    for _ in range(STEPS):
        batch = case.batch()
        optimizer.zero_grad()
        expected.zero_grad()
        losses = train(model, batch).outputs
        for i in range(count):
            right = case.loss(reference, {name: value.chunk(count)[i] for name, value in batch.items()})
            (right / count).backward()
            assert abs(losses[i].item() - right.item()) <= 1e-5 * abs(right.item())
        compare(model, reference)
        optimizer.step()
        expected.step()
    shares = smp.allgather(sum(1 for _ in model.local_parameters()), smp.PP_GROUP)
    return sum(share > 0 for share in shares)


def compare(model: smp.DistributedModel, reference: nn.Module) -> None:
    theirs = dict(reference.named_parameters())
    for name, parameter in model.local_named_parameters():
        right = theirs[name].grad
        if right is None:
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        # The gradient of a key's bias is zero but for rounding: its scale is then that of the weight beside it.
        weight = theirs.get(name.removesuffix("bias") + "weight")
        scale = max(right.abs().max().item(), 0.0 if weight is None else weight.grad.abs().max().item())
        assert (parameter.grad - right).abs().max().item() <= 1e-5 * scale, (name, scale)


def main() -> None:
    smp.init(json.loads(sys.argv[1]))
    for name in sys.argv[2:] or CASES:
        try:
            used = run(CASES[name])
            assert used == smp.pp_size(), f"{used} of {smp.pp_size()} partitions have parameters"
            print(f"equal {name} rank={smp.rank()}", flush=True)
        except Exception:
            print(f"FAILED {name} rank={smp.rank()}\n{traceback.format_exc()}", flush=True)
            raise
    smp.barrier()


if __name__ == "__main__":
    main()
