"""One rank: what the trace before partitioning does and leaves alone. Argument: a folder."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp

BATCH, MICROBATCHES = 8, 2
traced: list[bool] = []  # one entry a run of the step function on this rank


class Net(nn.Module):
    """Layers run in the reverse of the order of definition; batch norm counts what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(6)])
        self.norm = nn.BatchNorm1d(8)
        self.needs_values = self.refuses = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.refuses and smp.is_tracing():
            raise ZeroDivisionError("not while tracing")
        if self.needs_values:
            x = x * (2 if x.abs().sum().item() > 1e9 else 1)
        x = self.norm(x)
        for layer in reversed(self.layers):
            x = torch.relu(layer(x)) + x
        return x


@smp.step
def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    traced.append(smp.is_tracing())
    loss = model(x).square().mean()
    model.backward(loss)
    assert not smp.is_tracing()
    return loss


def configure(**changes: Any) -> None:
    smp.state.runtime.cfg = dataclasses.replace(smp.state.cfg, **changes)


def prepared(**options: Any) -> tuple[smp.DistributedModel, nn.Module]:
    torch.manual_seed(3)
    net = Net()
    smp.state.model = None  # one model a script; the test runs several
    traced.clear()
    return smp.DistributedModel(net, **options), copy.deepcopy(net)


def equal(model: smp.DistributedModel, reference: nn.Module) -> None:
    """One step, and the serial one: losses, gradients, buffers, random state, the batch's own storage."""
    torch.manual_seed(smp.dp_rank())
    x = torch.randn(BATCH, 8)
    everyone = smp.allgather(x.clone(), smp.DP_GROUP)
    random = torch.get_rng_state()
    loss = train(model, x).reduce_mean()
    assert torch.equal(random, torch.get_rng_state())
    for replica, batch in enumerate(everyone):
        mine = reference if replica == smp.dp_rank() else copy.deepcopy(reference)
        losses = []
        for part in batch.chunk(MICROBATCHES):
            right = mine(part).square().mean()
            (right / MICROBATCHES / len(everyone)).backward()
            losses.append(right.detach())
        if mine is not reference:
            for p, q in zip(reference.parameters(), mine.parameters(), strict=True):
                p.grad = q.grad if p.grad is None else p.grad + q.grad
        else:
            assert torch.allclose(loss, torch.stack(losses).mean(), rtol=1e-5)
    theirs = dict(reference.named_parameters())
    for name, parameter in model.local_named_parameters():
        right = theirs[name].grad
        assert (parameter.grad - right).abs().max() <= 1e-5 * right.abs().max(), name
    if smp.pp_rank() == model._owner["norm"]:
        assert model.get_module().norm.num_batches_tracked == MICROBATCHES
        assert torch.allclose(model.get_module().norm.running_mean, reference.norm.running_mean, rtol=1e-5)


def owners(model: smp.DistributedModel) -> list[int]:
    found = [model._owner[f"layers.{i}"] for i in range(6)]
    assert smp.allgather(found) == [found] * smp.size()
    return found


def main() -> None:
    file = str(Path(sys.argv[1]) / "partition.json")
    smp.init({"partitions": 2, "microbatches": MICROBATCHES, "ddp": True})
    leads = smp.pp_rank() == 0
    steps = [False] * MICROBATCHES if leads else []

    if smp.rank() == 0:
        smp.broadcast("sent before the first step")
    model, reference = prepared()
    equal(model, reference)
    assert traced == [True, *steps] if leads else not traced
    assert owners(model)[0] == 1
    assert owners(model) == sorted(owners(model), reverse=True)
    if smp.rank() > 0:
        assert smp.recv_from(0) == "sent before the first step"
    assert "a trace on meta" in model.partition_table()

    model, reference = prepared(trace_memory_usage=True)
    model.get_module().needs_values = True
    equal(model, reference)
    assert traced == [True, True, *steps] if leads else not traced
    assert "a trace on cpu, operations counted" in model.partition_table()

    model, reference = prepared(trace_execution_times=True, trace_device="cpu")
    equal(model, reference)
    assert "a trace on cpu, execution times" in model.partition_table()

    model, reference = prepared()
    model.get_module().refuses = True
    equal(model, reference)
    assert model.partition_table().startswith("partitioned by parameter counts\n")
    assert owners(model)[0] == 0

    configure(skip_tracing=True, partition_file=file)
    model, reference = prepared()
    equal(model, reference)
    assert traced == steps
    counted = owners(model)
    configure(skip_tracing=False, load_partition=True)
    model, reference = prepared()
    equal(model, reference)
    assert traced == steps
    assert owners(model) == counted

    if smp.rank() == 0:
        stored = json.loads(Path(file).read_text())
        stored["owner"].pop("layers.3")
        Path(file).write_text(json.dumps(stored))
    model, _ = prepared()
    kind = ValueError if smp.rank() == 0 else smp.exceptions.PeerFailed
    with pytest.raises(kind, match=r"no module 'layers\.3'"):
        train(model, torch.randn(BATCH, 8))
    print(f"traced rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
