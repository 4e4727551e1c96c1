"""One rank, of 2 partitions x 2 replicas: gradients accumulated over several steps, results that keep their graph."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.cases_worker import close

BATCH, COUNT = 8, 2


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.far(torch.tanh(self.near(x)))


class Bundle(OrderedDict[str, Any]):
    """As Hugging Face's ModelOutput: a dict with its fields as attributes."""

    @property
    def x(self) -> torch.Tensor:
        return self["x"]  # type: ignore[no-any-return]


@dataclass
class Graph:
    """Cuts itself into microbatches."""

    nodes: torch.Tensor
    label: str

    def smp_slice(self, num_mb: int, mb: int, axis: int) -> Graph:
        return Graph(self.nodes.chunk(num_mb, axis)[mb], f"{self.label} {mb}")


def wrapped(**options: Any) -> tuple[smp.DistributedModel, Net]:
    torch.manual_seed(1)
    net = Net()
    reference = copy.deepcopy(net)
    smp.set_partition(net.far, 1)
    smp.state.model = None
    return smp.DistributedModel(net, **options), reference


@smp.step(input_split_axes={"bundle": 0})
def train(model: nn.Module, bundle: Bundle, graph: Graph) -> dict[str, Any]:
    loss = (model(bundle.x) * graph.nodes).square().mean()
    model.backward(loss)
    return {"loss": loss, "label": graph.label}


def accumulated() -> None:
    """Two steps a reduction: before it gradients are this replica's, after it the average of both replicas' sums."""
    model, reference = wrapped(backward_passes_per_step=2)
    draw = torch.Generator().manual_seed(7)
    for number in range(4):
        batches = [
            (torch.randn(BATCH, 4, generator=draw), torch.randn(BATCH, 4, generator=draw)) for _ in range(2)
        ]
        x, nodes = batches[smp.rdp_rank()]
        found = train(model, Bundle(x=x), Graph(nodes, "graph"))
        assert found["label"] == ["graph 0", "graph 1"]
        sums = {}
        for replica, (x, nodes) in enumerate(batches):
            mine = copy.deepcopy(reference)
            for part_x, part_nodes in zip(x.chunk(COUNT), nodes.chunk(COUNT), strict=True):
                ((mine(part_x) * part_nodes).square().mean() / COUNT).backward()
            sums[replica] = {name: p.grad for name, p in mine.named_parameters()}
        for name, parameter in model.local_named_parameters():
            before = held[name] if number % 2 else [torch.zeros_like(parameter)] * 2
            totals = [before[r] + sums[r][name] for r in range(2)]
            held[name] = totals
            right = (totals[0] + totals[1]) / 2 if number % 2 else totals[smp.rdp_rank()]
            assert parameter.grad is not None
            assert close(parameter.grad, right, 1e-5), (number, name)
            if number % 2:
                parameter.grad = None


held: dict[str, list[torch.Tensor]] = {}


def attached() -> None:
    model, _ = wrapped()

    @smp.step(detach_outputs=False)
    def look(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scale = model.get_module().near(x) if smp.pp_rank() == 0 else x
        return {"near": scale.sum(), "far": model(x)}

    found = look(model, torch.ones(BATCH, 4))
    if smp.pp_rank() > 0:
        assert not any(one.requires_grad for one in found["near"].outputs)
        return
    sum(found["near"].outputs).backward()
    near = model.get_module().near
    assert close(near.weight.grad, torch.full((4, 4), float(BATCH)), 1e-6)
    # Computed where its bytes are, on the other rank: it came here without its graph.
    assert not found["far"].outputs[0].requires_grad


def too_late() -> None:
    model, _ = wrapped()

    @smp.step(detach_outputs=False)
    def look(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = model(x).clone()
        y.add_(1)  # the bytes are here from now on
        return y.sum()

    (first, _) = look(model, torch.ones(BATCH, 4)).outputs
    if smp.pp_rank() == 0:
        with pytest.raises(smp.exceptions.OutsideStep, match=r"'far' on rank .* after its step"):
            first.backward()


def main() -> None:
    smp.init(
        {"partitions": 2, "microbatches": COUNT, "ddp": True, "auto_partition": False, "default_partition": 0}
    )
    for case in (accumulated, attached, too_late):
        case()
        print(f"{case.__name__} rank={smp.rank()}", flush=True)
        smp.barrier()


if __name__ == "__main__":
    main()
