"""Partitions from a trace; the decision as a table and as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shardyard_runtime.torch.partition import auto, decision
from shardyard_runtime.torch.partition.cost import Weighing, states_of
from shardyard_runtime.torch.partition.decision import Decision
from tests.unit.torch.test_tracing import traced


class Backwards(nn.Module):
    """Runs its children in the reverse of the order of definition, and one not at all."""

    def __init__(self, count: int = 6) -> None:
        super().__init__()
        self.unused = nn.Linear(8, 8)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(count)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in reversed(self.layers):
            x = layer(x)
        return x


def test_cuts_follow_the_order_of_execution() -> None:
    net = Backwards()
    owner = auto.assign(net, 3, traced(net, torch.randn(2, 8))).owner
    assert [owner[f"layers.{i}"] for i in range(6)] == [2, 2, 1, 1, 0, 0]
    assert owner["unused"] == 2  # what was not called comes last
    assert owner[""] == owner["layers"] == 0


def test_memory_weight_decides_between_memory_and_time() -> None:
    class Net(nn.Module):
        """The embedding has nearly all the memory, the convolutions nearly all the time."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(30000, 4)
            self.convolutions = nn.Sequential(*[nn.Conv1d(4, 4, 9, padding=4) for _ in range(8)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.convolutions(self.table(x).transpose(1, 2))

    net = Net()
    trace = traced(net, torch.zeros(64, 128, dtype=torch.long))
    memory = auto.assign(net, 2, trace, Weighing(memory_weight=1.0))
    time = auto.assign(net, 2, trace, Weighing(memory_weight=0.0))
    assert [memory.owner[f"convolutions.{i}"] for i in range(8)] != [
        time.owner[f"convolutions.{i}"] for i in range(8)
    ]
    assert time.owner["convolutions.2"] == 0
    assert max(time.load) < 0.6


def test_a_module_whose_parameter_another_reads_is_with_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.body = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
            self.head = Head(self)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(self.embed(x)))

    class Head(nn.Module):
        def __init__(self, net: Net) -> None:
            super().__init__()
            self.last = nn.Linear(4, 4)
            self.norm = nn.LayerNorm(4)
            self.embed = [net.embed]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.linear(x, self.last.weight)  # reads a child's parameter without calling it
            return F.linear(self.norm(x), self.embed[0].weight)

    net = Net()
    for partitions in (2, 3, 4):
        owner = auto.assign(net, partitions, traced(net, torch.zeros(2, 3, dtype=torch.long))).owner
        assert owner["head"] == owner["head.last"] == owner["embed"] == 0
        assert len(set(owner.values())) == partitions


def test_the_optimizers_state_is_read_off_its_options() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    expected: list[tuple[Any, dict[str, Any], int]] = [
        (torch.optim.SGD, {"lr": 1}, 0),
        (torch.optim.SGD, {"lr": 1, "momentum": 0.9}, 1),
        (torch.optim.AdamW, {}, 2),
        (torch.optim.Adam, {"amsgrad": True}, 3),
        (torch.optim.Adagrad, {}, 1),
    ]
    assert states_of(None) == 2
    assert [states_of(made(parameters, **options)) for made, options, _ in expected] == [
        n for *_, n in expected
    ]


def decided(net: nn.Module, partitions: int) -> Decision:
    return decision.decided(net, partitions, auto.assign(net, partitions), "parameter counts")


def test_the_table_has_a_line_a_partition() -> None:
    assert decided(nn.Sequential(*[nn.Linear(9, 10) for _ in range(3)], nn.Linear(10, 20)), 2).table() == (
        "partitioned by parameter counts\n"
        "partition  modules      parameters   cost  share\n"
        "        0        4             300  57.7%  57.7%\n"
        "        1        1             220  42.3%  42.3%"
    )


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    net, file = Backwards(), tmp_path / "new" / "partition.json"
    stored = decided(net, 3)
    stored.save(file)
    assert [one.name for one in file.parent.iterdir()] == ["partition.json"]
    loaded = decision.load(file, net, 3)
    assert (loaded.owner, loaded.shares) == (stored.owner, stored.shares)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["owner"].pop("layers.2"), "no module 'layers.2'"),
        (lambda d: d["owner"].update(extra=0), "'extra', which this model does not have"),
        (lambda d: d["owner"].update({"layers.2": 7}), "'layers.2' on 7: 0 to 2 exist"),
        (lambda d: d["owner"].update({"layers.2": "x"}), "'layers.2' on 'x'"),
        (lambda d: d["shares"].pop(), "holds 2 partitions, this job has 3"),
        (lambda d: d.update(format="x"), "its format is 'x'"),
        (lambda d: d.clear(), "no stored partition: KeyError: 'format'"),
        (
            lambda d: d["owner"].update({"layers.0": 2, "layers.5": 0}),
            "'layers.0' and 'layers.5', which share",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    net, file = Backwards(), tmp_path / "partition.json"
    net.layers[5].weight = net.layers[0].weight
    decided(net, 3).save(file)
    stored = json.loads(file.read_text())
    change(stored)
    file.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="partition_file") as caught:
        decision.load(file, net, 3)
    assert words in str(caught.value)
