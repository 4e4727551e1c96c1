"""Gradients in buckets: one message for many of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Bucket:
    """Gradients of some parameters, one after another in a buffer that is kept from step to step.

    ``places`` are the parameters' places among those of this rank. With ``as_view`` their gradients are views of the
    buffer as soon as they arrive; without, they are copied into it, and what was reduced is copied back.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], places: Sequence[int], as_view: bool) -> None:
        self.places = list(places)
        self.parameters = [parameters[place] for place in places]
        self._as_view = as_view
        self.renew()

    def renew(self) -> None:
        """Leaves the buffer to a reduction that still uses it, and takes a new one."""
        first = self.parameters[0]
        size = sum(p.numel() for p in self.parameters)
        self.buffer = torch.zeros(size, dtype=first.dtype, device=first.device)
        self._views = dict(zip(self.places, pieces(self.buffer, self.parameters), strict=True))
        self.taken: dict[int, torch.Tensor] = {}  # gradients that were moved into the buffer, by place

    def adopt(self, place: int, parameter: nn.Parameter) -> None:
        """A gradient has arrived: what is added to it from now on is added in the buffer."""
        view, gradient = self._views[place], parameter.grad
        if self._as_view and gradient is not None and gradient is not view:
            with torch.no_grad():
                view.copy_(gradient)
            parameter.grad = view

    def take(self) -> None:
        """Moves the gradients into the buffer, zeros where there is none: what arrives later starts from nothing."""
        with torch.no_grad():
            for (place, view), parameter in zip(self._views.items(), self.parameters, strict=True):
                gradient = parameter.grad if parameter.requires_grad else None
                if gradient is None:
                    view.zero_()
                    continue
                if gradient is not view:
                    view.copy_(gradient)
                self.taken[place], parameter.grad = gradient, None

    def give(self, reduced: torch.Tensor, divisor: int, present: Sequence[bool]) -> None:
        """Makes ``reduced`` over ``divisor`` the gradients of those parameters that are ``present``."""
        with torch.no_grad():
            if reduced is not self.buffer:  # a communication hook's own
                self.buffer.copy_(reduced.reshape(-1))
            if self._as_view:
                self.buffer.div_(divisor)
            for (place, view), parameter in zip(self._views.items(), self.parameters, strict=True):
                if not present[place]:
                    continue
                if self._as_view:
                    parameter.grad = view
                else:
                    gradient = self.taken.get(place)
                    gradient = torch.empty_like(parameter) if gradient is None else gradient
                    parameter.grad = torch.div(view, divisor, out=gradient)
        self.taken.clear()

    def add(self, reduced: torch.Tensor, divisor: int) -> None:
        """Adds ``reduced`` over ``divisor`` to the gradients."""
        with torch.no_grad():
            for parameter, piece in zip(self.parameters, pieces(reduced, self.parameters), strict=True):
                assert parameter.grad is not None
                parameter.grad.add_(piece / divisor)

    def give_up(self) -> None:
        """The reduction does not end in this step: gradients are as before, or none where they were in the buffer."""
        if not self._as_view:
            for place, parameter in zip(self.places, self.parameters, strict=True):
                parameter.grad = self.taken.get(place, parameter.grad)
        self.renew()


def pieces(buffer: torch.Tensor, parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Views of a buffer, one a parameter, in its shape."""
    split = buffer.split([p.numel() for p in parameters])
    return [piece.view(p.shape) for piece, p in zip(split, parameters, strict=True)]


def grouped(parameters: Sequence[nn.Parameter], order: Sequence[int], cap: float) -> list[list[int]]:
    """Runs of ``order``, places of parameters: of one dtype and device, of at most ``cap`` bytes or one parameter."""
    runs: list[list[int]] = []
    filled, kind = 0.0, None
    for place in order:
        parameter = parameters[place]
        size = parameter.numel() * parameter.element_size()
        if kind != (parameter.dtype, parameter.device) or filled + size > cap:
            runs.append([])
            filled, kind = 0.0, (parameter.dtype, parameter.device)
        runs[-1].append(place)
        filled += size
    return runs
