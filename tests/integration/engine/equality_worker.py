"""A model trained and evaluated, parallel and serial: losses, gradients, parameters, shares."""

from __future__ import annotations

import copy

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.models import MODELS

STEPS, BATCH = 3, 16


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-5 * max(b.abs().max().item(), 1e-6))


def serial(net: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """One step of the reference: microbatches in order, averaged over microbatches and replicas."""
    replicas, count = x.shape[0], smp.state.cfg.microbatches
    optimizer.zero_grad()
    losses = []
    for r in range(replicas):
        total = 0.0
        for part_x, part_y in zip(x[r].chunk(count), y[r].chunk(count), strict=True):
            loss = nn.functional.cross_entropy(net(part_x), part_y)
            (loss / count / replicas).backward()
            total += loss.item() / count
        losses.append(total)
    return losses


def run(name: str, manual: bool) -> None:
    torch.manual_seed(7)
    net = MODELS[name]()
    reference = copy.deepcopy(net)
    if manual:
        for index, child in enumerate(net.children()):
            index = index if name != "tied" else int(child is net.middle)
            smp.set_partition(child, index % smp.pp_size())
    smp.state.model = None  # one model a script; the test runs several
    model = smp.DistributedModel(net)
    optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))
    expected = torch.optim.SGD(reference.parameters(), 0.1, momentum=0.9)

    @smp.step
    def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = model(x)
        loss = nn.functional.cross_entropy(out, y)
        model.backward(loss)
        return loss, out

    @smp.step()
    def evaluate(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": model(x)}

    draw = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        x = torch.randn(smp.dp_size(), BATCH, 8, generator=draw)
        y = torch.randint(0, 4, (smp.dp_size(), BATCH), generator=draw)
        optimizer.zero_grad()
        loss, _ = train(model, x[smp.dp_rank()].clone(), y[smp.dp_rank()])
        losses = serial(reference, expected, x.clone(), y)
        assert abs(loss.reduce_mean().item() - losses[smp.dp_rank()]) <= 1e-5 * abs(losses[smp.dp_rank()]), (
            name
        )
        theirs = dict(reference.named_parameters())
        for key, parameter in model.local_named_parameters():
            assert parameter.grad is not None, key
            assert close(parameter.grad, theirs[key].grad), (name, key)
        optimizer.step()
        expected.step()
    state = model.state_dict()
    for key, value in reference.state_dict().items():
        assert close(state[key], value), (name, key)
    model.eval()
    with torch.no_grad():
        logits = evaluate(model, x[smp.dp_rank()])["logits"].concat()
        assert close(logits, reference(x[smp.dp_rank()])), name
    owned = sum(p.numel() for p in model.local_parameters())
    whole = sum(p.numel() for p in reference.parameters())
    shares = smp.allgather(owned, smp.PP_GROUP)
    assert sum(shares) == whole, (name, shares)
    assert manual or sum(share > 0 for share in shares) >= min(3, smp.pp_size()), (name, shares)
    if smp.pp_rank() == 0:
        assert smp.state.runtime.engine.max_live <= smp.state.cfg.active_microbatches
