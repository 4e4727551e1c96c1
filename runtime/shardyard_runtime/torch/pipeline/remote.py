"""A call of a module that lives elsewhere, as one node of the caller's autograd graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from shardyard_runtime.comm.torch_codec import flatten, unflatten
from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.messages import Executed

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.engine import Engine


class RemoteCall:
    """Both halves of one remote call; filled in by the forward, used by the backward."""

    def __init__(self, engine: Engine, path: str, owner: int, structure: bytes) -> None:
        self.engine = engine
        self.path = path
        self.owner = owner
        self.structure = structure
        self.context = CallContext.capture()  # here: autograd switches gradients off inside a Function
        self.answer: Executed | None = None
        self.microbatch = -1


class _CallNode(torch.autograd.Function):
    """``forward`` asks the owner to run the module, ``backward`` asks it to go on; each blocks this microbatch.

    The phony input requires grad, so that the owner's parameters train when none of the inputs does.
    """

    @staticmethod
    def forward(
        ctx: Any, call: RemoteCall, phony: torch.Tensor, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        answer = call.engine.execute(call, list(tensors), [bool(t.requires_grad) for t in tensors])
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(
            *[t for t, needed in zip(answer.tensors, answer.needs_grad, strict=True) if not needed]
        )
        return tuple(answer.tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        return (None, None, *ctx.call.engine.backward(ctx.call, list(gradients)))


def call_remote(engine: Engine, path: str, owner: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs the module at ``path`` on pipeline rank ``owner`` and returns what it returned."""
    structure, tensors = flatten((args, kwargs))
    call = RemoteCall(engine, path, owner, structure)
    if torch.is_grad_enabled():
        phony = torch.empty(0, requires_grad=True)
        outputs = list(_CallNode.apply(call, phony, *tensors))
    else:
        outputs = engine.execute(call, tensors, [False] * len(tensors)).tensors
    assert call.answer is not None
    return unflatten(call.answer.structure, outputs)
