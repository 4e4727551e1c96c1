"""One rank of activation checkpointing's test: each case equals the serial run, and nothing remote runs a third time."""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.torch.pipeline import messages, shipping
from smdistributed.modelparallel.torch.patches.checkpoint import checkpoint, checkpoint_sequential
from tests.integration.engine.cases_worker import close
from tests.integration.engine.remote_worker import Traffic

BATCH, COUNT, WIDTH = 16, 4, 8


class Block(nn.Module):
    """Counts its runs; draws random numbers, and sends its result on in a tuple where it got one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.drop = nn.Dropout(0.2)
        self.runs = 0

    def forward(self, x: Any) -> Any:
        self.runs += 1
        packed = isinstance(x, tuple)
        value = x[0] if packed else x
        value = value + self.drop(self.b(torch.tanh(self.a(value))))
        return (value, x[1]) if packed else value


class Parent(nn.Module):
    """Works on its children's results: some operations go to the bytes, one fetches them, one changes them in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.near = Block(), Block(), Block()
        self.scale = nn.Parameter(torch.ones(WIDTH))
        self.runs = 0

    def forward(self, x: torch.Tensor, *, bias: torch.Tensor) -> dict[str, torch.Tensor]:
        self.runs += 1
        first = self.first(self.near(x))
        gate = torch.sigmoid(first) * 2
        second = self.second(first) + gate
        second = second * self.scale
        again = self.first(second)
        again *= 2
        again[:, 0] = 0.5
        if again.detach().sum() > 1e9:
            again = again * 2
        return {"x": again + bias}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(WIDTH, WIDTH)
        self.parents = nn.ModuleList([Parent(), Parent()])
        self.row = nn.Sequential(*(Block() for _ in range(5)))
        self.head = nn.Linear(WIDTH, 4)
        self.how: Callable[[Net, torch.Tensor], torch.Tensor] = plain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.how(self, self.enter(x)))


def plain(net: Net, x: torch.Tensor) -> torch.Tensor:
    for parent in net.parents:
        x = parent(x, bias=x)["x"]
    return net.row(x)


def by_function(net: Net, x: torch.Tensor) -> torch.Tensor:
    """A closure is a region of its own, over modules that are on several ranks."""

    def middle(x: torch.Tensor) -> torch.Tensor:
        for parent in net.parents:
            x = parent(x, bias=x)["x"]
        return x

    return checkpoint_sequential(net.row, checkpoint(middle, x), strategy="contiguous")


def tuples(net: Net, x: torch.Tensor) -> torch.Tensor:
    return checkpoint_sequential(net.row, (x, x.detach() > 0), "group_2", pack_args_as_tuple=True)[0]


PLACES = {
    "parents.0.first": 1,
    "parents.0.second": 2,
    "parents.1": 1,
    "parents.1.near": 0,
    "parents.1.second": 2,
}
PLACES |= {"row.2": 1, "row.3": 1, "row.4": 2, "head": 2}


def set_up(name: str, net: Net) -> None:
    if name == "modules":
        for parent in net.parents:
            smp.set_activation_checkpointing(parent)
    elif name == "nested":
        for module in net.modules():
            if isinstance(module, Block | Parent):
                smp.set_activation_checkpointing(module)
    elif name in ("each", "contiguous", "group_2"):
        smp.set_activation_checkpointing(net.row, strategy=name)
        smp.set_activation_checkpointing(net.parents, strategy="each")


HOW = {"by_function": by_function, "tuples": tuples}
CASES = ["none", "modules", "nested", "each", "contiguous", "group_2", "by_function", "tuples"]
# Calls of other ranks that one microbatch makes of the row: owners 0 0 1 1 2, or on two ranks 0 0 1 1 1.
ROW_CALLS = {"contiguous": {3: 2, 2: 1}, "group_2": {3: 2, 2: 2}, "each": {3: 3, 2: 3}}


@smp.step
def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


@smp.step
def look(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x)


def built(name: str) -> tuple[smp.DistributedModel, Net, Net]:
    shipping._infer.cache_clear()  # so that shapes are worked out inside of a region,
    smp.state.runtime.engine._caller._wanted.clear()  # and nothing comes along unasked in the first step
    torch.manual_seed(2)
    net = Net()
    net.how = HOW.get(name, plain)
    reference = copy.deepcopy(net)
    reference.how = plain if name != "tuples" else lambda net, x: net.row((x, x.detach() > 0))[0]
    for path, partition in PLACES.items():
        smp.set_partition(net.get_submodule(path), min(partition, smp.pp_size() - 1))
    smp.state.model = None
    return smp.DistributedModel(net), net, reference


def step(model: nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    torch.manual_seed(6)
    smp.barrier()
    smp.state.runtime.engine._step = 100 * len(
        CASES
    )  # random numbers are drawn by step: every case is the same one
    smp.barrier()
    draw = torch.Generator().manual_seed(4)
    x, y = torch.randn(BATCH, WIDTH, generator=draw), torch.randint(0, 4, (BATCH,), generator=draw)
    for parameter in model.parameters():
        parameter.grad = None
    loss = train(model, x, y).reduce_mean()
    return loss, {k: p.grad for k, p in model.local_named_parameters()}


def runs(net: Net) -> Counter[str]:
    return Counter({path: m.runs for path, m in net.named_modules() if isinstance(m, Block | Parent)})


def serial(reference: Net) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    draw = torch.Generator().manual_seed(4)
    x, y = torch.randn(BATCH, WIDTH, generator=draw), torch.randint(0, 4, (BATCH,), generator=draw)
    total = torch.zeros(())
    for part_x, part_y in zip(x.chunk(COUNT), y.chunk(COUNT), strict=True):
        loss = nn.functional.cross_entropy(reference(part_x), part_y) / COUNT
        loss.backward()
        total += loss.detach()
    return total, {k: p.grad for k, p in reference.named_parameters()}


def same(found: Any, wanted: Any, name: str) -> None:
    assert close(found[0], wanted[0], 1e-5), (name, found[0], wanted[0])
    for key, gradient in found[1].items():
        other = wanted[1][key]
        assert (gradient is None) == (other is None), (name, key)
        assert gradient is None or close(gradient, other, 1e-5), (name, key)


def run(name: str, baseline: dict[str, Any]) -> None:
    model, net, reference = built(name)
    reference.eval()
    model.eval()  # without dropout it equals plain PyTorch
    set_up(name, net)
    same(step(model), serial(reference), name)
    model.train()
    before, traffic = runs(net), Traffic()
    found = step(model)
    made = runs(net) - before
    calls = sum(isinstance(m, messages.Execute) and m.module is not None for _, m in traffic.sent)
    asked = smp.allgather(
        [m.module for _, m in traffic.sent if isinstance(m, messages.Execute)], smp.PP_GROUP
    )
    traffic.end()
    if name == "none":
        baseline.update(found=found, runs=made, calls=calls)
    elif name not in HOW:  # those call other modules, which draw for themselves
        same(found, baseline["found"], name)  # dropout draws the same, whatever is recomputed
    twice = {path for path in made if made[path] != baseline["runs"][path]}
    if name == "modules" or name == "by_function":
        for path in twice:
            assert made[path] == 2 * baseline["runs"][path], (name, path, made[path], baseline["runs"][path])
        mine = {p for p in made if p.startswith("parents.") and made[p]}
        assert twice >= mine - {"row"}, (name, twice, mine)
        if name == "modules":
            assert calls == baseline["calls"], (name, calls, baseline["calls"])
    if name in ROW_CALLS:
        of_row = [m for part in asked for m in part if m is not None and m.startswith("row.")]
        assert len(of_row) == COUNT * ROW_CALLS[name].get(smp.pp_size(), 0), (name, of_row)
        assert all(made[f"row.{i}"] in (0, 2 * COUNT) for i in range(5)), (name, made)
    with torch.no_grad():
        before = runs(net)
        look(model, torch.ones(BATCH, WIDTH))
        once = runs(net) - before
        assert all(once[path] in (0, 2 * COUNT if path.endswith("first") else COUNT) for path in once), once
    assert smp.state.runtime.engine.clean


def main() -> None:
    parameters = json.loads(sys.argv[1])
    smp.init({"microbatches": COUNT, "auto_partition": False, "default_partition": 0, **parameters})
    baseline: dict[str, Any] = {}
    for name in CASES:
        run(name, baseline)
        print(f"recomputed {name} rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
