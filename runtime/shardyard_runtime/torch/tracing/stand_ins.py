"""Tensors that stand in for a model's own during a trace: without storage, or copies that may be written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from shardyard_runtime.torch.microbatch import rebuilt

Copy = Callable[[torch.Tensor], torch.Tensor]
_SMALL = 2**22


def on_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Shape, strides and dtype only; but small tensors of whole numbers are copied.

    Models look at those (is anything masked?), and computing with them costs next to nothing.
    """
    if not (tensor.is_floating_point() or tensor.is_complex() or tensor.is_meta) and tensor.numel() <= _SMALL:
        return tensor.detach().to("cpu", copy=True)
    return torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)


def real_on(device: torch.device) -> Copy:
    """Copies on ``device``."""

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(device, copy=True).requires_grad_(tensor.requires_grad)

    return copy


def replace(root: nn.Module, copy: Copy, keep: Callable[[nn.Parameter], bool]) -> dict[int, int]:
    """Puts stand-ins where modules hold tensors; parameters that ``keep`` accepts stay themselves.

    Sharing is preserved. The caller restores the modules' attributes. Returns id of a stand-in to id of the
    parameter it stands for.
    """
    known: dict[int, torch.Tensor] = {}
    real: dict[int, int] = {}

    def stand_in(tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor):
            return tensor
        if id(tensor) not in known:
            made = _replaced(tensor, copy, keep)
            known[id(tensor)] = known[id(made)] = made
            if isinstance(tensor, nn.Parameter):
                real[id(made)] = id(tensor)
        return known[id(tensor)]

    for module in root.modules():
        for name, value in module.__dict__.items():
            if isinstance(value, torch.Tensor):
                module.__dict__[name] = stand_in(value)
            elif type(value) in (dict, OrderedDict):
                value.update({key: stand_in(item) for key, item in value.items()})
            elif type(value) is list:
                value[:] = [stand_in(item) for item in value]  # the flat weights of a recurrent layer, say
    return real


def _replaced(tensor: torch.Tensor, copy: Copy, keep: Callable[[nn.Parameter], bool]) -> torch.Tensor:
    if not isinstance(tensor, nn.Parameter):
        return copy(tensor)
    if keep(tensor):
        return tensor
    made = nn.Parameter(copy(tensor.detach()), requires_grad=tensor.requires_grad)
    made.__dict__.update(tensor.__dict__)
    return made


def copied(value: Any, copy: Copy) -> Any:
    """Arguments of a step with their tensors copied, so that the trace cannot change a batch."""
    if isinstance(value, torch.Tensor):
        return copy(value)
    if isinstance(value, Mapping):
        return rebuilt(value, {key: copied(item, copy) for key, item in value.items()})
    if isinstance(value, list | tuple):
        parts = [copied(item, copy) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
