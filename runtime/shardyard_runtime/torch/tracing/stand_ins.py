"""Tensors that stand in for a model's own during a trace: without storage, or copies that may be written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
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


def replace(modules: Iterable[nn.Module], made: Callable[[torch.Tensor], torch.Tensor]) -> dict[int, int]:
    """Puts what is ``made`` of each tensor where modules hold it. Sharing is preserved.

    Returns id of what now stands in to id of the parameter it stands for.
    """
    known: dict[int, torch.Tensor] = {}
    real: dict[int, int] = {}
    replaced = []  # held, or a new tensor could get the id of one that is gone

    def stand_in(tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor):
            return tensor
        if id(tensor) not in known:
            new = made(tensor)
            known[id(tensor)] = known[id(new)] = new
            replaced.append(tensor)
            if isinstance(tensor, nn.Parameter):
                real[id(new)] = id(tensor)
        return known[id(tensor)]

    for module in modules:
        for name, value in module.__dict__.items():
            if isinstance(value, torch.Tensor):
                module.__dict__[name] = stand_in(value)
            elif type(value) in (dict, OrderedDict):
                value.update({key: stand_in(item) for key, item in value.items()})
            elif type(value) is list:
                value[:] = [stand_in(item) for item in value]  # the flat weights of a recurrent layer, say
    return real


def copy_of(copy: Copy, keep: Callable[[nn.Parameter], bool]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What stands in for a tensor: its copy, a parameter for a parameter; one that ``keep`` accepts stays itself."""

    def made(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            return copy(tensor)
        if keep(tensor):
            return tensor
        parameter = nn.Parameter(copy(tensor.detach()), requires_grad=tensor.requires_grad)
        parameter.__dict__.update(tensor.__dict__)
        return parameter

    return made


def copied(value: Any, copy: Copy) -> Any:
    """Arguments of a step with their tensors copied, so that the trace cannot change a batch."""
    if isinstance(value, torch.Tensor):
        return copy(value)
    if isinstance(value, Mapping):
        return rebuilt(value, {key: copied(item, copy) for key, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        parts = [copied(item, copy) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
