"""One rank of delayed initialization's test. Argument: a folder for a checkpoint."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.cases_worker import close

WIDTH, LAYERS = 1024, 24
WHOLE = LAYERS * WIDTH * 2 * WIDTH * 4  # bytes of the large model


def large() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(WIDTH, 2 * WIDTH, bias=False) if i % 2 else Half() for i in range(LAYERS))
    )


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(WIDTH, 2 * WIDTH))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x.repeat(1, 2) if x.shape[1] == WIDTH else x, self.weight)


class Small(nn.Module):
    """Tied weights, a buffer, dropout, a module that looks at a value while it is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(16, 8), nn.Linear(8, 16, bias=False)
        self.head.weight = self.embed.weight
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(6)])
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("shift", torch.randn(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.embed(x) + self.shift
        for layer in self.layers:
            y = torch.tanh(layer(y)) + y
        return self.head(self.norm(y))


@smp.step
def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), x)
    model.backward(loss)
    return loss


@smp.step
def look(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x).mean()


def made(build: Callable[[], nn.Module], delayed: bool) -> nn.Module:
    torch.manual_seed(3)
    with smp.delay_param_initialization(delayed):
        return build()


def wrapped(net: nn.Module, **changes: Any) -> smp.DistributedModel:
    smp.state.model = smp.state.optimizer = None
    smp.state.runtime.cfg = dataclasses.replace(smp.state.cfg, **changes)
    return smp.DistributedModel(net)


def steps(model: smp.DistributedModel) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    optimizer = smp.DistributedOptimizer(torch.optim.Adam(model.parameters(), 0.01))
    x = torch.randint(0, 16, (8,), generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        losses.append(train(model, x).reduce_mean())
        optimizer.step()
    return losses, {name: p.detach().clone() for name, p in model.local_named_parameters()}


def same(found: Any, wanted: Any) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found[0], wanted[0], strict=True))
    assert found[1].keys() == wanted[1].keys()
    assert all(torch.equal(found[1][name], wanted[1][name]) for name in found[1])


def memory(line: str) -> int:
    text = Path("/proc/self/status").read_text().split(f"{line}:")[1]
    return int(text.split()[0]) * 1024


def never_whole() -> None:
    """What this process had in memory at most, from creation to the end of the first step."""
    small = made(lambda: nn.Sequential(*(nn.Linear(8, 8) for _ in range(4))), True)
    look(wrapped(small), torch.ones(4, 8))  # loads what any model needs
    smp.barrier()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what there is
    before = memory("VmRSS")
    model = wrapped(made(large, True))
    created = memory("VmHWM") - before
    look(model, torch.ones(4, WIDTH))
    peak = memory("VmHWM") - before
    mine = sum(p.nbytes for p in model.local_parameters())
    assert 0 < mine < WHOLE / 2, mine
    assert created < WHOLE / 2, created  # one layer at a time, and what the allocator keeps
    assert peak < mine + WHOLE / 2, (peak, mine)
    held = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    assert sum(held.values()) < mine + 1000
    print(f"never whole rank={smp.rank()}: {created >> 20} MiB created, {peak >> 20} at most", flush=True)


def main() -> None:
    folder = sys.argv[1]
    smp.init({"partitions": 4, "microbatches": 2, "delayed_parameter_initialization": True})
    never_whole()

    eager = made(Small, False)
    start = {name: value.clone() for name, value in eager.state_dict().items()}
    wanted = steps(wrapped(eager))
    model = wrapped(made(Small, True))
    with pytest.raises(RuntimeError, match="its parameters have values from its first step on"):
        model.state_dict()
    same(steps(model), wanted)
    torch.manual_seed(3)
    with smp.model_creation():
        net = Small()
    same(steps(wrapped(net)), wanted)
    print(f"equal rank={smp.rank()}", flush=True)

    other = made(Small, True)
    model = wrapped(other)
    with pytest.raises(RuntimeError, match=r"other shapes: \[.norm\.weight is"):
        model.load_state_dict({**start, "norm.weight": torch.ones(3)})
    torch.manual_seed(9)
    with smp.delay_param_initialization():
        other = Small()
    model = wrapped(other)
    model.load_state_dict(start)
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    same(steps(model), wanted)
    smp.save_checkpoint(folder, tag="late", partial=True, model=model)
    after = model.state_dict()
    model = wrapped(made(Small, True))
    smp.resume_from_checkpoint(folder, tag="late", load_optimizer=False)
    with torch.no_grad():
        look(model, torch.arange(8))
    resumed = model.state_dict()
    assert all(
        close(resumed[name].float(), value.float(), 1e-6)
        for name, value in after.items()
        if "norm" not in name
    )
    print(f"loaded rank={smp.rank()}", flush=True)

    model = wrapped(made(Small, True), bf16=True)
    assert all(p.untyped_storage().nbytes() == 2 for p in model.parameters())
    losses, _ = steps(model)
    assert close(losses[0], wanted[0][0], 0.05)
    assert all(p.dtype == torch.bfloat16 for p in model.local_parameters())
    print(f"converted rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
