"""Modules on the rank that owns them, and what is left of them on the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def blank(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """Shape and dtype on the CPU, without storage: values read as NaN and cannot be written."""
    fill = float("nan") if dtype.is_floating_point else 0
    return torch.full((1,), fill, dtype=dtype).expand(shape)


def through_blanks(fn: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """``fn``, a conversion; a blank tensor takes on the dtype and stays blank, where the whole of it would be made."""

    def applied(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.numel() < 2 or tensor.is_meta or tensor.untyped_storage().nbytes() > tensor.element_size():
            return fn(tensor)
        return blank(tensor.shape, fn(torch.empty(0, dtype=tensor.dtype, device=tensor.device)).dtype)

    return applied


def staying(fn: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """``fn``, a conversion, without a move to a GPU: the whole model may not fit there, and parts get there by themselves."""

    def applied(tensor: torch.Tensor) -> torch.Tensor:
        made = fn(torch.empty(0, dtype=tensor.dtype, device=tensor.device))
        moves = tensor.device.type == "cpu" and made.device.type == "cuda"
        return tensor.to(made.dtype) if moves else fn(tensor)

    return applied


def release(module: nn.Module) -> None:
    """Frees the parameters of a module that lives elsewhere; see :func:`blank`."""
    for parameter in module.parameters(recurse=False):
        parameter.data = blank(parameter.shape, parameter.dtype)
        parameter.grad = None


def move(module: nn.Module, device: torch.device) -> None:
    """Puts a module's own parameters and buffers on this rank's device, keeping the parameters' identity."""
    for parameter in module.parameters(recurse=False):
        gradient, parameter.grad = parameter.grad, None
        parameter.data = parameter.data.to(device)
        parameter.grad = None if gradient is None else gradient.to(device)
    for name, buffer in module.named_buffers(recurse=False):
        module._buffers[name] = buffer.to(device)
