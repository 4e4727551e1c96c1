"""A call of a module that lives elsewhere, or a shipped operation, as one node of the caller's autograd graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from shardyard_runtime.comm.torch_codec import flatten, unflatten
from shardyard_runtime.comm.torch_sites import site
from shardyard_runtime.torch.pipeline import shipping
from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, settled
from shardyard_runtime.torch.pipeline.values import CallId
from shardyard_runtime.torch.releases import leaves

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.caller import Caller


@dataclass
class Call:
    """What both halves of a call need; ``identity`` and ``microbatch`` are filled in by the forward.

    Of ``module`` and ``operation`` one is given. ``returned`` is the structure of the outputs, ``elsewhere`` the
    outputs that the owner itself had from another rank. Of a module's call, ``key`` is what it has in common with
    equal ones; when it was ``foreseen``, nobody waited for it to run.
    ``recompute`` and ``then`` are as in messages.Execute.
    """

    owner: int
    module: str | None
    operation: str | None
    structure: bytes
    context: CallContext
    returned: bytes = b""
    specs: tuple[shipping.OutputSpec, ...] = ()
    elsewhere: frozenset[int] = frozenset()
    identity: CallId = (-1, -1, ())
    microbatch: int = -1
    seed: int = 0
    site: str = ""
    key: Hashable = None
    foreseen: bool = False
    recompute: bool = False
    then: tuple[tuple[str, int], ...] = ()

    @property
    def target(self) -> str:
        """What is called."""
        if self.module is None:
            return str(self.operation)
        return " ".join([self.module, *(path for path, _ in self.then)])


class _Node(torch.autograd.Function):
    """``forward`` asks the owner to run, ``backward`` asks it to go on.

    The phony input requires grad, so that the owner's parameters train when none of the inputs does.
    """

    @staticmethod
    def forward(
        ctx: Any, caller: Caller, call: Call, phony: torch.Tensor, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        outputs, needs_grad = caller.execute(call, tensors)
        ctx.caller, ctx.call = caller, call
        ctx.set_materialize_grads(False)
        ctx.inputs = [(caller.is_remote(t), t.requires_grad, t.shape, t.dtype) for t in tensors]
        ctx.mark_non_differentiable(*[t for t, need in zip(outputs, needs_grad, strict=True) if not need])
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        return (None, None, None, *ctx.caller.backward(ctx.call, ctx.inputs, gradients))


def call_modules(
    caller: Caller,
    modules: Sequence[tuple[str, int]],
    owner: int,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    recompute: bool = False,
) -> Any:
    """Runs the modules, paths with seeds, one after another on global rank ``owner``.

    Returns what the last one returned, as remote tensors. With ``recompute`` their activations are not kept.
    """
    structure, tensors = flatten((args, kwargs))
    (path, seed), *then = modules
    call = Call(owner, path, None, structure, CallContext.capture(), seed=seed, site=site(sys._getframe()))
    call.recompute, call.then = recompute, tuple(then)
    return _run(caller, call, [settled(t) for t in tensors])


def ship(caller: Caller, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs an operation where most of its bytes are; NotImplemented when it has to run here."""
    name = shipping.name_of(function, args, kwargs)
    if name is None or not caller.may_ship():
        return NotImplemented
    structure, found = flatten((args, kwargs))
    tensors = [settled(t) for t in found]
    owner = shipping.destination(tensors, caller.rank)
    if owner == caller.rank:
        return NotImplemented
    try:
        returned, specs = shipping.infer(name, structure, tensors)
    except Exception:  # not without the bytes, or wrong altogether: the operation itself will say it here
        return NotImplemented
    call = Call(
        owner, None, name, structure, CallContext.capture(), returned, specs, site=site(sys._getframe())
    )
    result = _run(caller, call, tensors)
    if name in shipping.ALIASING:
        for tensor in (*tensors, *leaves(result)):
            if isinstance(tensor, RemoteTensor):
                tensor.value.scope.aliased.append(tensor.value)
    return result


def _run(caller: Caller, call: Call, tensors: list[torch.Tensor]) -> Any:
    if torch.is_grad_enabled() and (call.module is not None or any(t.requires_grad for t in tensors)):
        phony = torch.empty(0, requires_grad=True)
        outputs = list(_Node.apply(caller, call, phony, *tensors))
    else:
        outputs, _ = caller.execute(call, tensors)
    return unflatten(call.returned, outputs)
