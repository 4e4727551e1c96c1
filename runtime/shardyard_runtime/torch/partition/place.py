"""Modules on the rank that owns them, and what is left of them on the others."""

from __future__ import annotations

import torch
from torch import nn


def release(module: nn.Module) -> None:
    """Frees the parameters of a module that lives elsewhere: shape and dtype stay, values read as NaN."""
    for parameter in module.parameters(recurse=False):
        fill = float("nan") if parameter.dtype.is_floating_point else 0
        parameter.data = torch.full((1,), fill, dtype=parameter.dtype).expand(parameter.shape)
        parameter.grad = None


def move(module: nn.Module, device: torch.device) -> None:
    """Puts a module's own parameters and buffers on this rank's device, keeping the parameters' identity."""
    for parameter in module.parameters(recurse=False):
        gradient, parameter.grad = parameter.grad, None
        parameter.data = parameter.data.to(device)
        parameter.grad = None if gradient is None else gradient.to(device)
    for name, buffer in module.named_buffers(recurse=False):
        module._buffers[name] = buffer.to(device)
