"""Gradients in buckets: one message for many of them, and what a communication hook gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


class GradBucket:
    """One bucket of gradients, with the methods of ``torch.distributed.GradBucket``."""

    def __init__(self, index: int, parameters: Sequence[torch.nn.Parameter], last: bool, zeros: bool) -> None:
        self._index = index
        self._parameters = list(parameters)
        self._last = last
        gradients = [torch.zeros_like(p) if p.grad is None or zeros else p.grad for p in parameters]
        self._buffer = torch.cat([g.detach().reshape(-1) for g in gradients])

    def index(self) -> int:
        return self._index

    def buffer(self) -> torch.Tensor:
        """All gradients of the bucket, one after another, as one dimension."""
        return self._buffer

    def set_buffer(self, buffer: torch.Tensor) -> None:
        self._buffer = buffer

    def gradients(self) -> list[torch.Tensor]:
        """One view of the buffer a parameter, in its shape."""
        pieces = self._buffer.split([p.numel() for p in self._parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self._parameters, strict=True)]

    def parameters(self) -> list[torch.Tensor]:
        return list(self._parameters)

    def is_last(self) -> bool:
        """True for the last bucket of a step."""
        return self._last

    def write(self, reduced: torch.Tensor) -> None:
        """Makes ``reduced``, in the place of the buffer, the parameters' gradients."""
        self._buffer = reduced.reshape(-1)
        for parameter, gradient in zip(self._parameters, self.gradients(), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(gradient)


CommHook = Callable[[Any, GradBucket], "torch.futures.Future[torch.Tensor]"]


def grouped(parameters: Sequence[torch.nn.Parameter], cap: float) -> list[list[torch.nn.Parameter]]:
    """Runs of parameters of one dtype, each of at most ``cap`` bytes or one parameter."""
    buckets: list[list[torch.nn.Parameter]] = []
    filled = 0.0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if not buckets or buckets[-1][0].dtype != parameter.dtype or filled + size > cap:
            buckets.append([])
            filled = 0.0
        buckets[-1].append(parameter)
        filled += size
    return buckets
