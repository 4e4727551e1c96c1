"""The trace of one microbatch: what it records, and that it leaves everything as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shardyard_runtime.torch.tracing.record import Trace
from shardyard_runtime.torch.tracing.run import TraceFailed, is_tracing, trace

CPU = torch.device("cpu")


class Wrapper(nn.Module):
    """What a trace needs of DistributedModel."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *_: Any) -> Any:
        raise AssertionError("outside a step")

    def backward(self, loss: torch.Tensor) -> None:
        raise AssertionError("the trace ran the backward")


def traced(
    module: nn.Module,
    x: torch.Tensor,
    step: Callable[[Any, torch.Tensor], Any] | None = None,
    times: bool = False,
    memory: bool = False,
) -> Trace:
    wrapper = Wrapper(module)

    def train(model: Any, x: torch.Tensor) -> None:
        model.backward(model(x).sum())
        raise AssertionError("past the backward")

    return trace(wrapper, module, lambda place: (step or train)(wrapper, place(x)), CPU, times, memory)


class Awkward(nn.Module):
    """Buffers that change, dropout, attributes kept from the forward, order unlike that of definition."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.first = nn.Conv1d(3, 8, 1)
        self.norm = nn.BatchNorm1d(8)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.never = nn.Linear(2, 2)
        self.table = torch.ones(8)
        self.seen: list[torch.Tensor] = []
        self.cache: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).transpose(1, 2) * self.table
        x, _ = self.rnn(x)
        x, _ = self.attention(x, x, x)
        self.seen.append(x)
        self.cache["x"] = self.kept = x
        self.table.add_(1)
        return self.last(self.drop(x) * random.random())


class Peeks(Awkward):
    """Needs a value, so it cannot run on shapes alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (2 if x.sum().item() > 1e9 else 1)


def fingerprint(module: nn.Module) -> Any:
    tensors = {k: v.clone() for k, v in [*module.named_parameters(), *module.named_buffers()]}
    identity = {k: id(v) for k, v in [*module.named_parameters(), *module.named_buffers()]}
    state = torch.get_rng_state(), torch.tensor(list(random.getstate()[1]))
    attributes = [sorted(m.__dict__) for m in module.modules()]
    gradients = [p.grad for p in module.parameters()]
    modes = [m.training for m in module.modules()]
    return tensors, identity, state, attributes, gradients, modes


@pytest.mark.parametrize(("kind", "times"), [("meta", False), ("cpu", True), ("peeks", False)])
def test_everything_is_left_as_found(kind: str, times: bool) -> None:
    module = Peeks() if kind == "peeks" else Awkward()
    module.last.weight.grad = torch.ones(4, 8)
    module.norm.eval()
    x = torch.randn(2, 3, 5)
    before, batch = fingerprint(module), x.clone()

    def train(model: Any, x: torch.Tensor) -> None:
        assert is_tracing()
        model.train()
        model.zero_grad()
        x *= 2
        try:
            model.backward(model(x).sum())
        except Exception as error:
            assert kind == "peeks"  # shapes alone fail there, as they should
            raise error from None

    found = traced(module, x, train, times=times)
    assert found.kind == ("meta" if kind == "meta" else "cpu")
    after = fingerprint(module)
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][k], after[0][k]) for k in before[0])
    assert before[1] == after[1]
    assert all(torch.equal(a, b) for a, b in zip(before[2], after[2], strict=True))
    assert before[3] == after[3]
    assert all(a is b for a, b in zip(before[4], after[4], strict=True))
    assert before[5] == after[5]
    assert torch.equal(x, batch)
    assert torch.equal(module.table, torch.ones(8))
    assert (module.seen, module.cache) == ([], {})
    assert "kept" not in module.__dict__
    assert module.rnn._flat_weights[0] is module.rnn.weight_ih_l0
    assert not is_tracing()


@pytest.mark.parametrize("times", [False, True])
def test_order_shapes_and_calls(times: bool) -> None:
    found = traced(Awkward(), torch.randn(2, 3, 5), times=times)
    assert [r.path for r in found.in_order()] == ["", "first", "norm", "rnn", "attention", "drop", "last"]
    first = found.in_order()[1]
    assert (first.inputs[0].shape, first.outputs[0].shape) == ((2, 3, 5), (2, 8, 5))
    assert first.outputs[0].dtype == torch.float32
    if times:
        assert all(r.seconds > 0 for r in found.in_order() if r.path != "drop")


def test_costs_are_those_of_the_module_itself() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Linear(64, 256)
            self.narrow = nn.Linear(256, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.wide.forward(x)  # a direct call of forward is a call
            x = self.narrow(x) @ torch.ones(64, 64)
            return self.narrow(self.wide(x))

    net = Net()
    found = traced(net, torch.randn(8, 64))
    root, wide, narrow = (found.of(m) for m in (net, net.wide, net.narrow))
    assert root
    assert wide
    assert narrow
    assert (wide.calls, narrow.calls) == (2, 2)
    assert wide.flop == narrow.flop == 2 * (2 * 8 * 64 * 256)
    assert root.flop == 2 * 8 * 64 * 64
    assert wide.activation_bytes == 2 * 8 * 256 * 4
    assert narrow.activation_bytes == 2 * 8 * 64 * 4
    assert wide.reads == {id(net.wide.weight), id(net.wide.bias)}


def test_measured_activations_are_what_autograd_keeps() -> None:
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.Flatten())
    found = traced(net, torch.randn(4, 16), memory=True)
    kept = [found.of(m).activation_bytes for m in net]  # type: ignore[union-attr]
    assert kept == [4 * 16 * 4, 4 * 16 * 4, 0, 0]  # its input; its output, which the next one keeps too


def test_a_parameter_that_another_module_reads_is_seen() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.body = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(self.body(self.embed(x)), self.embed.weight)

    net = Tied()
    found = traced(net, torch.zeros(2, 3, dtype=torch.long))
    assert found.of(net).reads == {id(net.embed.weight)}  # type: ignore[union-attr]


def test_shapes_are_enough_for_a_model_that_looks_at_its_mask() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embed(ids).to(torch.device("cpu"))
            mask = (ids > 0).to(x.device)
            if mask.all():
                return x
            return x * mask[..., None] + torch.zeros(3, 4) * torch.arange(4, device=x.device)

    for ids in (torch.ones(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long)):
        found = traced(Masked(), ids)
        assert found.kind == "meta"
        assert found.in_order()[0].outputs[0].shape == (2, 3, 4)


def test_what_fails_is_named() -> None:
    with pytest.raises(TraceFailed, match=r"RuntimeError: mat1 and mat2"):
        traced(nn.Linear(3, 3), torch.randn(2, 4))
    with pytest.raises(TraceFailed, match="did not call the model"):
        traced(nn.Linear(3, 3), torch.randn(2, 3), lambda model, x: x)
