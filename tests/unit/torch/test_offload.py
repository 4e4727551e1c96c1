"""Offloaded activations: not on the device between forward and backward, and back ahead of it."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import nn

from shardyard_runtime.torch.pipeline.offload import Copies, Offload
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.recompute import Recompute

CPU = torch.device("cpu")
LAYERS = 5


@pytest.mark.parametrize("horizon", [0, 1, 2, 100])
def test_activations_are_away_until_shortly_before_their_backward(
    horizon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Any] = []
    back = Copies.to_device
    monkeypatch.setattr(Copies, "to_device", lambda *args: log.append("back") or back(*args))
    offload = Offload(CPU, horizon, lambda: 3)
    recompute = Recompute(Streams(CPU), offload)
    layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Tanh()) for _ in range(LAYERS))

    def run(index: int, x: torch.Tensor) -> torch.Tensor:
        log.append(index)
        return layers[index](x)

    def gradients(recomputed: bool) -> list[torch.Tensor]:
        torch.manual_seed(1)
        layers.zero_grad()
        x, inputs = torch.randn(3, 4), []
        for i in range(LAYERS):
            inputs.append(weakref.ref(x.untyped_storage()))
            x = recompute(run, (i, x), {}) if recomputed else run(i, x)
        log.clear()
        if recomputed:
            assert [one() for one in inputs] == [None] * LAYERS
            offload.expect(3)
        x.sum().backward()
        return [p.grad.clone() for p in layers.parameters() if p.grad is not None]

    plain = gradients(False)
    assert all(torch.equal(a, b) for a, b in zip(plain, gradients(True), strict=True))
    assert [entry for entry in log if entry != "back"] == list(reversed(range(LAYERS)))
    for done, layer in enumerate(reversed(range(LAYERS))):
        here = log[: log.index(layer)].count("back")
        assert here == min(LAYERS, done + 1 + horizon), (layer, log)
    assert not offload._kept[3]


def test_of_nested_regions_the_inner_is_computed_again_from_the_outer() -> None:
    offload = Offload(CPU, 4, lambda: 0)
    recompute = Recompute(Streams(CPU), offload)
    inner, weight = nn.Linear(4, 4), torch.randn(4, 4, requires_grad=True)
    y = recompute(lambda x: recompute(inner, (torch.tanh(x @ weight),), {}), (torch.randn(2, 4),), {})
    assert len(offload._kept[0]) == 1
    y.sum().backward()
    assert weight.grad is not None
    assert inner.weight.grad is not None
