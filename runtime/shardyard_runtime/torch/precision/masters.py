"""Float32 copies of this rank's parameters: what the optimizer steps on, while the model computes in 16 bits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import nn


class Masters:
    """Stands in an optimizer's groups for the model's own parameters, at the same places.

    Each master starts as its parameter's value, and takes over what state the optimizer had for it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._of: dict[int, nn.Parameter] = {}  # id of a master -> its parameter
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []  # parameter, master

    def adopt(self, local: Collection[int]) -> None:
        """Makes masters for those parameters of the groups whose ids are given, where there are none yet."""
        for group in self._optimizer.param_groups:
            for place, parameter in enumerate(group["params"]):
                if id(parameter) in local and parameter.is_floating_point():
                    group["params"][place] = self._made(parameter)

    def _made(self, parameter: nn.Parameter) -> nn.Parameter:
        master = nn.Parameter(parameter.detach().float().clone(), parameter.requires_grad)
        self._of[id(master)] = parameter
        self._pairs.append((parameter, master))
        if parameter in self._optimizer.state:
            held = self._optimizer.state.pop(parameter)
            self._optimizer.state[master] = {k: _raised(v, parameter.dtype) for k, v in held.items()}
        return master

    def parameter(self, held: nn.Parameter) -> nn.Parameter:
        """The model's parameter for what stands in a group."""
        return self._of.get(id(held), held)

    def unscale(self, scale: float) -> torch.Tensor:
        """Gives masters their parameters' gradients, divided by ``scale``; 1.0 where any is not finite, else 0.0."""
        device = next((m.device for _, m in self._pairs), torch.device("cpu"))
        sums = []
        for parameter, master in self._pairs:
            master.requires_grad_(parameter.requires_grad)
            master.grad = None if parameter.grad is None else parameter.grad.detach().float() / scale
            if master.grad is not None:
                sums.append(
                    master.grad.sum()
                )  # inf and NaN survive a sum, and finite float16s do not reach inf
        total = torch.stack(sums) if sums else torch.zeros(1, device=device)
        return torch.logical_not(torch.isfinite(total)).any().float()

    def gradients(self) -> list[torch.Tensor]:
        return [master.grad for _, master in self._pairs if master.grad is not None]

    def publish(self) -> None:
        """Rounds the masters into the model."""
        with torch.no_grad():
            for parameter, master in self._pairs:
                parameter.copy_(master)

    def refresh(self) -> None:
        """Takes the model's values where they are no longer the master's, rounded: a state dict has been loaded."""
        with torch.no_grad():
            for parameter, master in self._pairs:
                if not torch.equal(master.to(parameter.dtype), parameter):
                    master.copy_(parameter)

    def clear_gradients(self, set_to_none: bool) -> None:
        """Clears the model's; the masters' are the optimizer's own."""
        for parameter, _ in self._pairs:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.detach_().zero_()

    def clear_master_gradients(self) -> None:
        for _, master in self._pairs:
            master.grad = None


def _raised(value: Any, dtype: torch.dtype) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype == dtype else value
