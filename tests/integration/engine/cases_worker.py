"""Models with one thing each that a pipeline gets wrong easily, placed by hand so that it does.

``placement`` maps a module's path to a partition; the rest follow their parents. Serial runs see the same microbatches.
"""

from __future__ import annotations

import contextlib
import copy
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp

BATCH = 16
Pair = namedtuple("Pair", ["value", "gate"])


class Branches(nn.Module):
    """Two branches with two owners meet at a third; one of them is called twice."""

    placement = {"left": 1, "right": 2, "join": 1}

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.join = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.left(x), self.right(x)
        return self.join(torch.cat([self.left(right), left * right], -1))


class Callback(nn.Module):
    """A container elsewhere calls back to modules of the caller's rank, and passes an input straight through."""

    placement = {"middle": 1, "middle.back": 0, "middle.there": 1, "middle.on": 2}

    class Middle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.back, self.there, self.on = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
            self.scale = nn.Parameter(torch.ones(8))

        def forward(
            self, x: torch.Tensor, mask: torch.Tensor | None = None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            y = self.on(self.back(self.there(self.back(x))))
            return (y * self.scale if mask is None else y * mask), x

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.middle, self.leave = nn.Linear(8, 8), Callback.Middle(), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, same = self.middle(self.enter(x), mask=None)
        return self.leave(y + same)


class Control(nn.Module):
    """Which module runs, and what it returns, depends on values."""

    placement = {"small": 1, "large": 2, "pick": 1}

    class Pick(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> dict[str, Any]:
            y = self.body(x)
            return {"y": y[y.sum(1) > 0], "rows": int((y.sum(1) > 0).sum()), "name": "picked"}

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large, self.pick = nn.Linear(8, 4), nn.Linear(8, 4), Control.Pick()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        picked = self.pick(x)
        assert picked["name"] == "picked"
        assert picked["y"].shape == (picked["rows"], 8)
        out = self.small(x) if picked["rows"] % 2 else self.large(x)
        return out + picked["y"].sum()


class Norm(nn.Module):
    """Batch norm's buffers, dropout in evaluation mode, a frozen layer, an input without gradient, a tuple."""

    placement = {"norm": 1, "frozen": 1, "embed": 2, "out": 1}

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor, index: torch.Tensor) -> Pair:
            return Pair(self.inner(x), torch.sigmoid(x) * index.unsqueeze(1))

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.embed = nn.BatchNorm1d(8), nn.Embedding(5, 8)
        self.frozen, self.out, self.head = nn.Linear(8, 8), Norm.Gated(), nn.Linear(8, 4)
        self.frozen.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = (x.abs().sum(1) % 5).long()
        pair = self.out(self.frozen(self.norm(x) + self.embed(index)), index)
        assert isinstance(pair, tuple)
        return self.head(pair.value * pair.gate)


class Loop(nn.Module):
    """A ModuleList over all ranks, its results kept and combined, one in place, one through a checkpoint."""

    placement = {"blocks.0": 1, "blocks.1": 2, "blocks.2": 1, "blocks.3": 0}

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList(nn.Linear(8, 8) for _ in range(4)), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for block in self.blocks:
            x = torch.tanh(block(x)) + x
            kept.append(x)
        total = torch.stack(kept).mean(0)
        total[:, 0] *= 2
        return self.head(total)


class Input(nn.Module):
    """Changes the step's own input in place before it is saved."""

    placement = {"far": 1}

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x *= 2
        return self.far(self.near(x) * x)


CASES = {case.__name__: case for case in (Branches, Callback, Control, Norm, Loop, Input)}


def close(a: torch.Tensor, b: torch.Tensor, within: float) -> bool:
    return bool((a - b).abs().max() <= within * max(b.abs().max().item(), 1e-6))


@contextlib.contextmanager
def precision(bfloat16: bool) -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        yield


def serial(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, buffers: list[torch.Tensor], bfloat16: bool
) -> torch.Tensor:
    """One replica's step; it starts with the buffers that the first one had."""
    count, total = smp.num_microbatches(), torch.zeros(())
    net.zero_grad(set_to_none=True)
    for mine, theirs in zip(net.buffers(), buffers, strict=True):
        mine.copy_(theirs)
    for part_x, part_y in zip(x.chunk(count), y.chunk(count), strict=True):
        with precision(bfloat16):
            one = nn.functional.cross_entropy(net(part_x.clone()), part_y) / count
        one.backward()
        total += one.detach()
    return total


def run(name: str, bfloat16: bool) -> None:
    torch.manual_seed(2)
    net: Any = CASES[name]()
    references = [copy.deepcopy(net) for _ in range(smp.dp_size())]
    reference, count = references[smp.dp_rank()], smp.num_microbatches()
    for path, module in net.named_modules():
        above = [p for p in (path, *_above(path)) if p in net.placement]
        smp.set_partition(module, min(net.placement[above[0]], smp.pp_size() - 1) if above else 0)
    smp.state.model = None
    model = smp.DistributedModel(net)
    within = 2e-2 if bfloat16 else 1e-5  # a bfloat16 has 8 bits

    @smp.step
    def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with precision(bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        model.backward(loss)
        return loss

    @smp.step
    def look(model: nn.Module, x: torch.Tensor) -> dict[str, Any]:
        return {"logits": model(x), "rows": x.shape[0]}

    draw = torch.Generator().manual_seed(4)
    for _ in range(2):
        x = torch.randn(smp.dp_size(), BATCH, 8, generator=draw)
        y = torch.randint(0, 4, (smp.dp_size(), BATCH), generator=draw)
        for parameter in model.parameters():
            parameter.grad = None
        start = [buffer.clone() for buffer in references[0].buffers()]
        losses = [serial(each, x[r].clone(), y[r], start, bfloat16) for r, each in enumerate(references)]
        x, y = x[smp.dp_rank()], y[smp.dp_rank()]
        loss = train(model, x.clone(), y).reduce_mean()
        assert close(loss, losses[smp.dp_rank()], within), (name, loss, losses)
        theirs = [dict(each.named_parameters()) for each in references]
        for key, parameter in model.local_named_parameters():
            grads = [own[key].grad for own in theirs if own[key].grad is not None]
            assert (parameter.grad is not None) == bool(grads), (name, key)
            assert not grads or close(parameter.grad, sum(grads) / smp.dp_size(), within), (name, key)
    if not bfloat16:
        buffers = dict(reference.named_buffers())
        for key, buffer in model.local_named_buffers():
            assert close(buffer.float(), buffers[key].float(), within), (name, key)
    model.eval()
    reference.eval()
    with torch.no_grad():
        seen = look(model, x.clone())
        wanted = torch.cat([reference(part.clone()) for part in x.chunk(count)])
        assert close(seen["logits"].concat(), wanted, within), name
        assert seen["rows"] == [BATCH // count] * count
    assert smp.state.runtime.engine.clean


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
