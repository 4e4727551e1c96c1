"""The loss scale's rules, and float32 masters in an optimizer's groups."""

from __future__ import annotations

import pytest
import torch

from shardyard_runtime.torch.precision.loss_scale import loss_scale
from shardyard_runtime.torch.precision.masters import Masters


def scales(overflows: str, **arguments: float) -> list[float]:
    """The scale after each step: ``x`` overflowed, ``.`` did not."""
    found = loss_scale(None, True, {"init_scale": 16.0, **arguments})
    seen = []
    for one in overflows:
        found.update(one == "x")
        seen.append(found.scale)
    return seen


def test_defaults_are_the_documented_ones() -> None:
    assert loss_scale(1.0, True, {}).scale == 2.0**32
    assert loss_scale(None, False, {}).scale == 1.0
    fixed = loss_scale(128.0, False, {"scale_window": 1000})
    fixed.update(True)
    assert fixed.scale == 128.0


def test_falls_at_once_and_rises_after_a_window() -> None:
    assert scales("xx..x...", scale_window=2) == [8, 4, 4, 8, 4, 4, 8, 8]
    assert scales("xxx", min_scale=4) == [8, 4, 4]
    assert scales("x..", scale_factor=4, scale_window=2) == [4, 4, 16]


def test_delayed_shift_tolerates_overflows() -> None:
    assert scales("x.x.x", delayed_shift=2) == [16, 16, 8, 8, 4]
    assert scales("x.x.xx", delayed_shift=2, consecutive_hysteresis=True) == [16, 16, 16, 16, 16, 8]
    assert scales("x..x", delayed_shift=2, scale_window=2) == [16, 16, 32, 32]


def test_what_was_saved_goes_on() -> None:
    first = loss_scale(None, True, {"delayed_shift": 2, "scale_window": 3})
    for overflow in (True, False, False):
        first.update(overflow)
    second = loss_scale(None, True, {"delayed_shift": 2, "scale_window": 3})
    second.load_state_dict(first.state_dict())
    for overflow in (False, True, True):
        first.update(overflow)
        second.update(overflow)
        assert first.scale == second.scale


def test_an_unknown_argument_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="'scale_windw'; did you mean 'scale_window'"):
        loss_scale(None, True, {"scale_windw": 1})


def test_masters_take_places_and_state() -> None:
    here, elsewhere = (torch.nn.Parameter(torch.full((2,), 0.1, dtype=torch.float16)) for _ in range(2))
    optimizer = torch.optim.Adagrad([here, elsewhere], lr=0.1, initial_accumulator_value=1)
    masters = Masters(optimizer)
    masters.adopt({id(here)})
    masters.adopt({id(here)})
    master, other = optimizer.param_groups[0]["params"]
    assert other is elsewhere
    assert master.dtype == optimizer.state[master]["sum"].dtype == torch.float32
    assert here not in optimizer.state
    here.grad = torch.full_like(here, 4)
    assert masters.unscale(8.0) == 0
    assert master.grad.tolist() == [0.5, 0.5]
    optimizer.step()
    masters.publish()
    assert torch.equal(here, master.to(torch.float16))
    kept = master.detach().clone()
    masters.refresh()  # the model holds the masters, rounded
    assert torch.equal(master, kept)
    with torch.no_grad():
        here.fill_(3)
    masters.refresh()
    assert master.tolist() == [3, 3]


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_is_found(bad: float) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(3, dtype=torch.float16)) for _ in range(3)]
    optimizer = torch.optim.SGD(parameters, 0.1)
    masters = Masters(optimizer)
    assert masters.unscale(1.0) == 0
    masters.adopt({id(p) for p in parameters})
    for parameter in parameters[:2]:
        parameter.grad = torch.full_like(parameter, 65504)
    assert masters.unscale(1.0) == 0
    assert parameters[1].grad is not None
    parameters[1].grad[2] = bad
    assert masters.unscale(1.0) == 1
