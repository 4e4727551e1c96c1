"""One rank of the data parallelism's test, 2 partitions × 2 replicas: uneven inputs, communication hooks, buffers."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.equality_worker import close

BATCHES = (2, 4)  # of each replica
COUNT, BATCH = 2, 8


def network() -> nn.Module:
    torch.manual_seed(3)
    layers = [nn.Linear(8, 16, bias=False), nn.BatchNorm1d(16), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16), nn.Linear(16, 4))


def batch(step: int, replica: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(10 * step + replica)
    return torch.randn(BATCH, 8, generator=draw), torch.randint(0, 4, (BATCH,), generator=draw)


@smp.step
def train(model: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


@smp.step
def look(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model(x)


def fresh() -> tuple[Any, Any]:
    smp.state.model = smp.state.optimizer = None  # one model a script; the test makes several
    model = smp.DistributedModel(network())
    return model, smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), 0.1))


class Serial:
    """Both replicas in one process."""

    def __init__(self) -> None:
        self.nets = [network() for _ in BATCHES]
        self.optimizers = [torch.optim.SGD(net.parameters(), 0.1) for net in self.nets]

    def step(self, number: int, divide_by_all: bool = True) -> None:
        active = [r for r in range(len(BATCHES)) if number < BATCHES[r]]
        first = dict(self.nets[active[0]].named_buffers())
        for net in self.nets:
            for name, buffer in net.named_buffers():
                buffer.copy_(first[name].clone())
        for r in active:
            x, y = batch(number, r)
            self.optimizers[r].zero_grad()
            for part_x, part_y in zip(x.chunk(COUNT), y.chunk(COUNT), strict=True):
                (nn.functional.cross_entropy(self.nets[r](part_x), part_y) / COUNT).backward()
        divisor = len(BATCHES) if divide_by_all else len(active)
        for parameters in zip(*(self.nets[r].parameters() for r in active), strict=True):
            mean = sum(p.grad for p in parameters) / divisor
            for p in parameters:
                p.grad = mean.clone()
        for r in active:
            self.optimizers[r].step()


def same(model: Any, net: nn.Module) -> None:
    theirs = net.state_dict()
    for key, value in model.local_state_dict().items():
        if key != "_smp_is_partial":
            assert close(value.float(), theirs[key].float()), (smp.rank(), key)


def uneven(divide_by_all: bool) -> None:
    model, optimizer = fresh()
    serial = Serial()
    with model.join(divide_by_initial_world_size=divide_by_all):
        for step in range(BATCHES[smp.dp_rank()]):
            optimizer.zero_grad()
            train(model, *batch(step, smp.dp_rank()))
            optimizer.step()
    for step in range(max(BATCHES)):
        serial.step(step, divide_by_all)
    same(model, serial.nets[1])  # that of the replica that trained longest, everywhere
    # Outside again: both train as ever, from the same start.
    optimizer.zero_grad()
    train(model, *batch(9, smp.dp_rank()))
    for mine in smp.allgather([p.grad for p in model.local_parameters()], smp.DP_GROUP):
        assert all(torch.equal(a, p.grad) for a, p in zip(mine, model.local_parameters(), strict=True))
    print(f"uneven {divide_by_all} rank={smp.rank()}", flush=True)


def mixed() -> None:
    """Steps with a backward and without one, evaluation, and gradients of several passes, in one loop."""
    model, optimizer = fresh()
    with model.join():
        for step in range(BATCHES[smp.dp_rank()]):
            x, y = batch(step, smp.dp_rank())
            train(model, x, y)
            look(model, x)
            with torch.no_grad():
                look(model, x)
            optimizer.step()
            optimizer.zero_grad()
    states = smp.allgather([p.detach() for p in model.local_parameters()], smp.DP_GROUP)
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    print(f"mixed rank={smp.rank()}", flush=True)


def thrown() -> None:
    model, _ = fresh()

    def trained() -> None:
        with model.join(throw_on_early_termination=True):
            for step in range(BATCHES[smp.dp_rank()]):
                train(model, *batch(step, smp.dp_rank()))

    with pytest.raises(RuntimeError, match="exhausted"):
        trained()
    print(f"thrown rank={smp.rank()}", flush=True)


def hooks() -> None:
    """A hook gets the sums over microbatches: averages over those are its business, too, as documented."""
    group = smp.get_dp_process_group()
    plain, _ = fresh()
    train(plain, *batch(0, smp.dp_rank()))
    expected = {name: p.grad * COUNT for name, p in plain.local_named_parameters()}
    seen: list[tuple[int, int, bool]] = []

    def largest(state: Any, bucket: Any) -> torch.futures.Future[torch.Tensor]:
        assert state == "largest"
        seen.append((bucket.index(), len(bucket.parameters()), bucket.is_last()))
        assert sum(g.numel() for g in bucket.gradients()) == bucket.buffer().numel()
        work = dist.all_reduce(bucket.buffer(), op=dist.ReduceOp.MAX, group=group, async_op=True)
        return work.get_future().then(lambda f: f.value()[0])

    for hook, state, within in (
        (default_hooks.allreduce_hook, group, 1e-6),
        (default_hooks.fp16_compress_hook, group, 5e-3),
    ):
        model, _ = fresh()
        model.register_comm_hook(state, hook)
        train(model, *batch(0, smp.dp_rank()))
        for name, p in model.local_named_parameters():
            assert (p.grad - expected[name]).abs().max() <= within * expected[name].abs().max(), name
    model, _ = fresh()
    model.register_comm_hook("largest", largest)
    train(model, *batch(0, smp.dp_rank()))
    assert seen
    assert [last for _, _, last in seen] == [False] * (len(seen) - 1) + [True]
    assert sum(n for _, n, _ in seen) == len(list(model.local_parameters()))
    # Gradients by hand: one replica's each, without any average.
    net, grads = network(), []
    for replica in range(smp.dp_size()):
        one = copy.deepcopy(net)
        x, y = batch(0, replica)
        for part_x, part_y in zip(x.chunk(COUNT), y.chunk(COUNT), strict=True):
            nn.functional.cross_entropy(one(part_x), part_y).backward()
        grads.append({name: p.grad for name, p in one.named_parameters()})
    for name, p in model.local_named_parameters():
        assert close(p.grad, torch.maximum(grads[0][name], grads[1][name])), name
    with pytest.raises(RuntimeError, match="called twice"):
        model.register_comm_hook(None, largest)
    with pytest.raises(TypeError, match="needs a function"):
        fresh()[0].register_comm_hook(None, "hook")
    print(f"hooks rank={smp.rank()}", flush=True)


def buffers(folder: Path) -> None:
    """Each replica sees other batches: the first one's statistics are those that count, and that are saved."""
    model, optimizer = fresh()
    serial = Serial()
    for step in range(2):
        optimizer.zero_grad()
        train(model, *batch(step, smp.dp_rank()))
        optimizer.step()
        serial.step(step)
    same(model, serial.nets[smp.dp_rank()])
    smp.save_checkpoint(folder, tag="t", partial=True, model=model, optimizer=optimizer)
    smp.save_checkpoint(folder, tag="whole", partial=False, model=model)
    saved = torch.load(folder / "t_partial" / f"model_{smp.pp_rank()}_0.pt", weights_only=True)
    saved = saved.get("model", saved)
    whole = torch.load(folder / "whole", weights_only=True)
    first = serial.nets[0].state_dict()
    names = [name for name, _ in model.local_named_buffers()]
    assert smp.allgather(bool(names), smp.PP_GROUP) != [False] * smp.pp_size()
    for name in names:
        assert close(saved[name].float(), first[name].float()), name
    for name, value in first.items():
        assert close(whole[name].float(), value.float()), name
    # Resumed, all replicas evaluate with these.
    model, optimizer = fresh()
    smp.resume_from_checkpoint(folder, tag="t", partial=True)
    x = batch(5, 0)[0]
    model.eval()
    with torch.no_grad():
        shown = look(model, x).concat()
        serial.nets[0].eval()
        assert close(shown, serial.nets[0](x))
    print(f"buffers rank={smp.rank()}", flush=True)


def main() -> None:
    smp.init({"partitions": 2, "microbatches": COUNT, "ddp": True})
    uneven(True)
    uneven(False)
    mixed()
    thrown()
    hooks()
    buffers(Path(sys.argv[1]))
    smp.barrier()


if __name__ == "__main__":
    main()
