"""One rank of the errors' test: failures on the server in every phase, each caught, and the next step works.

Argument: parameters as JSON.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp

FAULT = {"where": ""}


class Broken(Exception):
    """An error of the script's own, with an argument."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("stays where it is")


class Poison:
    """Can be sent, but not be read."""

    def __reduce__(self) -> Any:
        return _read, ()


def _read() -> None:
    raise KeyError("poison")


class FailsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return raise_in_backward(gradient)


def raise_in_backward(gradient: torch.Tensor) -> torch.Tensor:
    if FAULT["where"] == "backward":
        raise Broken("backward")
    return gradient


class Server(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if FAULT["where"] == "forward":
            self.raise_in_forward()
        if FAULT["where"] == "unpicklable":
            raise Unpicklable("cannot travel")
        if FAULT["where"] == "in place":
            x.mul_(2)
        return FailsBackward.apply(self.linear(x))

    def raise_in_forward(self) -> None:
        raise Broken("forward")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Linear(4, 4)
        self.far = Server()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.far(self.near(x))


def raised_by(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def main() -> None:
    smp.init({"partitions": 2, **json.loads(sys.argv[1])})
    torch.manual_seed(0)
    net = Net()
    smp.set_partition(net, 0)
    smp.set_partition(net.far, 1)
    smp.state.cfg.__dict__["auto_partition"] = False
    model = smp.DistributedModel(net)
    x = torch.randn(8, 4)
    caught_inside: list[BaseException] = []

    @smp.step
    def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        try:
            out = model(x)
        except Exception as error:
            caught_inside.append(error)
            raise
        loss = out.square().mean()
        model.backward(loss)
        return loss

    def works() -> float:
        FAULT["where"] = ""
        for parameter in model.local_parameters():
            parameter.grad = None
        loss = train(model, x).reduce_mean().item()
        assert all(p.grad is not None for p in model.local_parameters())
        return loss

    def clean() -> None:
        assert smp.state.runtime.engine.clean

    # Of a call like none before, the caller awaits the answer: the error arrives at its very line.
    FAULT["where"] = "forward"
    error = raised_by(lambda: train(model, x))
    if smp.pp_rank() == 0:
        assert type(error) is Broken
        assert caught_inside == [error]
        assert "out = model(x)" in shown(error)
    clean()

    before = works()
    # From here on the calls are foreseen: the error arrives where the function waits, and names the caller's line.
    for where, kind, frame in [
        ("forward", Broken, "raise_in_forward"),
        ("backward", Broken, "raise_in_backward"),
        ("unpicklable", Unpicklable, "in forward"),
        ("in place", RuntimeError, "module 'far' changed tensor 0 of its arguments in place"),
    ]:
        FAULT["where"] = where
        caught_inside.clear()
        error = raised_by(lambda: train(model, x))
        text = shown(error)
        if smp.pp_rank() == 0:
            expected = RuntimeError if kind is Unpicklable else kind
            assert type(error) is expected, text
            assert kind is not Broken or error.where == where, text  # type: ignore[attr-defined]
            # Both tracebacks: the server's, and the line of this script that called.
            assert "on rank 1" in text, text
            assert frame in text, text
            line = "model.backward(loss)" if where == "backward" else "return self.far(self.near(x))"
            assert line in text, text
            assert kind is not Unpicklable or "Unpicklable: cannot travel" in str(error), text
        else:
            assert type(error) is kind, text  # its own error, where it happened
            assert frame in text, text
        clean()
        assert works() == before
        clean()
        print(f"caught {where} rank={smp.rank()}", flush=True)

    # An error of the user's function: its own type on rank 0, and on the others the word that it was abandoned.
    @smp.step
    def wrong(model: nn.Module, x: torch.Tensor) -> None:
        model(x)
        raise Broken("function")

    error = raised_by(lambda: wrong(model, x))
    if smp.pp_rank() == 0:
        assert type(error) is Broken
    else:
        assert "rank 0 abandoned the step: Broken: function" in str(error)
    assert works() == before
    print(f"caught function rank={smp.rank()}", flush=True)

    # A batch that does not divide is found on rank 0 before its function runs; the others hear of it.
    error = raised_by(lambda: train(model, x[:7]))
    if smp.pp_rank() == 0:
        assert isinstance(error, ValueError)
        assert (
            f"has 7 samples along dimension 0, which {smp.num_microbatches()} microbatches do not divide"
            in str(error)
        )
    else:
        assert "rank 0 abandoned the step: ValueError: argument 'x' has 7 samples" in str(error)
    clean()
    assert works() == before
    print(f"caught uneven rank={smp.rank()}", flush=True)

    for call in (lambda: model(x), lambda: model.backward(x.sum())):
        error = raised_by(call)
        assert type(error).__name__ == "OutsideStep"
        assert "smp.step" in str(error)
    if smp.pp_rank() == 0:
        for call in (lambda: net.far(x), lambda: net.far.forward(x), lambda: net.far.linear(x)):
            text = str(raised_by(call))
            assert "'far" in text
            assert "only inside a function decorated with @smp.step" in text
    assert works() == before
    smp.barrier()
    print(f"outside rank={smp.rank()}", flush=True)

    # Last, for it ends the communication of rank 0: what cannot be read there is raised, in a step too.
    if smp.rank() == 1:
        smp.send(Poison(), 0)
    else:
        error = raised_by(lambda: train(model, x))
        assert type(error).__name__ == "CommunicationBroken", shown(error)
        assert "the communication of rank 0 broke: KeyError('poison')" in str(error)
    print(f"broken rank={smp.rank()}", flush=True)


if __name__ == "__main__":
    main()
