"""Models created with delayed initialization: the values of an eager build, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.init import trunc_normal_

from shardyard_runtime.torch.delayed.creation import delayed, is_delayed, materialize
from shardyard_runtime.torch.partition.place import through_blanks


class Odd(nn.Module):
    """What models do while they are made: views, ``.data``, tied weights, buffers, values that are read."""

    def __init__(self) -> None:
        super().__init__()
        rates = [x.item() for x in torch.linspace(0, 0.5, 4)]
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Dropout(r)) for r in rates)
        self.embed = nn.Embedding(5, 8, padding_idx=2)
        self.head = nn.Linear(8, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm, self.lstm = nn.BatchNorm1d(8), nn.LSTM(8, 4)
        self.attention = nn.MultiheadAttention(8, 2)
        self.register_buffer("mask", torch.tril(torch.ones(6, 6)).bool())
        self.register_buffer("noise", torch.randn(3))
        position = torch.arange(6).unsqueeze(1) * torch.tensor([1.0, 2.0])
        encoding = torch.zeros(6, 4)
        encoding[:, 0::2], encoding[:, 1::2] = torch.sin(position), torch.cos(position)
        self.position = nn.Parameter(encoding, requires_grad=False)
        self.numbers = [*torch.randn(3).tolist(), float(torch.randn(2).numpy().sum())]
        self.orthogonal = nn.Parameter(nn.init.orthogonal_(torch.empty(4, 4)))
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.constant = nn.Parameter(torch.tensor([[1.0, 2.0]]))
        if self.embed.weight[2].abs().sum() > 0:
            raise AssertionError("the padding is zero")
        for layer in self.layers:
            layer[0].weight.data.normal_(0, 0.02)
            layer[0].weight.data[0].clamp_(min=0).mul_(2)
            nn.init.trunc_normal_(layer[0].bias, std=0.1)
            assert layer[0].bias.device.type == "cpu"
        trunc_normal_(self.attention.in_proj_weight)  # not through the module: it looks at what it has drawn


def built(make: Callable[[], nn.Module], how: bool) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(5)
    torch.rand(3)
    with delayed(how):
        model = make()
    return model, torch.rand(4)


def seeded() -> nn.Module:
    first = nn.Linear(4, 4)
    torch.manual_seed(1)
    return nn.Sequential(first, nn.Linear(4, 4))


@pytest.mark.parametrize("make", [Odd, seeded])
def test_equals_an_eager_build(make: Any) -> None:
    eager, drawn = built(make, False)
    late, drawn_late = built(make, True)
    assert torch.equal(drawn, drawn_late)
    assert is_delayed(late)
    names = [name for name, _ in eager.named_parameters()]
    assert names == [name for name, _ in late.named_parameters()]
    for (name, a), (_, b) in zip(eager.named_buffers(), late.named_buffers(), strict=True):
        assert torch.equal(a, b), name
    mine = names[::2]
    before = torch.get_rng_state()
    materialize(late, [late.get_parameter(name) for name in mine])
    assert torch.equal(before, torch.get_rng_state())
    assert not is_delayed(late)
    for name in names:
        a, b = eager.get_parameter(name), late.get_parameter(name)
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, b.requires_grad)
        if name in mine:
            assert torch.equal(a, b), name
        elif b.numel() > 1 and name != "constant":
            assert b.isnan().all()
            assert b.untyped_storage().nbytes() == b.element_size()


def test_two_models_and_their_sharing() -> None:
    torch.manual_seed(0)
    eager = [nn.Linear(4, 4), nn.Linear(4, 4)]
    torch.manual_seed(0)
    late = []
    for _ in range(2):
        with delayed():
            late.append(nn.Linear(4, 4))
    for a, b in zip(eager, late, strict=True):
        materialize(b, b.parameters())
        assert torch.equal(a.weight, b.weight)
    model, _ = built(Odd, True)
    assert model.head.weight is model.embed.weight
    assert model.lstm._flat_weights[0] is model.lstm.weight_ih_l0


def test_values_cannot_be_written_before_they_are_there() -> None:
    with delayed():
        layer = nn.Linear(3, 3)
    with pytest.raises(RuntimeError):
        layer.load_state_dict(nn.Linear(3, 3).state_dict())
    layer._apply(through_blanks(lambda t: t.half()))
    assert layer.weight.dtype == torch.float16
    assert layer.weight.untyped_storage().nbytes() == 2
    materialize(layer, layer.parameters())
    assert layer.weight.dtype == torch.float16
    assert layer.weight.isfinite().all()
    with delayed():
        layer = nn.Linear(3, 3)
    nn.init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match=r"'weight' was created .* written before it had a value"):
        materialize(layer, layer.parameters())


def test_what_cannot_be_repeated_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"a generator of its own.*enabled=False"), delayed():
        nn.init.normal_(torch.empty(2), generator=torch.Generator())
    assert nn.Linear(2, 2).weight.isfinite().all()  # the context is over
