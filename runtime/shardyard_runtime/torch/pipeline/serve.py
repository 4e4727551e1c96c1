"""The owner's side of a remote call: run the module, keep its graph, continue backward into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shardyard_runtime.comm.torch_codec import flatten, unflatten


class _Enter(torch.autograd.Function):
    """Identity: the module gets a tensor that is neither a leaf nor, for autograd, a view.

    Of both, autograd itself refuses a change in place, without saying in which module.
    """

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


@dataclass
class Served:
    """What the backward of a served call needs."""

    leaves: list[torch.Tensor]
    outputs: list[torch.Tensor]

    def backward(self, gradients: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Adds to the parameters' gradients and returns one gradient an input, None where there is none."""
        pairs = [
            (o, g) for o, g in zip(self.outputs, gradients, strict=True) if g is not None and o.requires_grad
        ]
        if pairs:
            torch.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return [leaf.grad for leaf in self.leaves]


def serve(
    module: nn.Module, path: str, structure: bytes, tensors: list[torch.Tensor], needs_grad: list[bool]
) -> tuple[bytes, Served]:
    """Runs a module on what arrived. Raises RuntimeError when it changes one of its arguments in place."""
    leaves = [t.requires_grad_(n) for t, n in zip(tensors, needs_grad, strict=True)]
    entered = [
        _Enter.apply(t) if n and torch.is_grad_enabled() else t
        for t, n in zip(leaves, needs_grad, strict=True)
    ]
    versions = [0 if t.is_inference() else t._version for t in entered]
    args, kwargs = unflatten(structure, entered)
    result = module(*args, **kwargs)
    for index, (tensor, version) in enumerate(zip(entered, versions, strict=True)):
        if not tensor.is_inference() and tensor._version != version:
            raise RuntimeError(
                f"module {path!r} changed tensor {index} of its arguments in place (shape {tuple(tensor.shape)}), "
                "but its caller is on another rank and would not see it. Let the module work on a clone, or keep "
                f"it with its caller: smp.set_partition(module, ...) on {path!r}"
            )
    returned, outputs = flatten(result)
    return returned, Served(leaves, outputs)
