"""State as plain data: what ``torch.load(weights_only=True)`` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

_AS_THEY_ARE = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)


def plain(value: Any, where: str) -> Any:
    """A copy of nested containers with tensors on the CPU, detached, each with a storage of no more than itself.

    Raises ValueError naming, from ``where`` on, a value that is neither a tensor nor plain Python.
    """
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Mapping):
        return {plain(k, where): plain(v, f"{where}[{k!r}]") for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(v, f"{where}[{i}]") for i, v in enumerate(value))
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    for base in (bool, int, float, str):  # IntEnum and the like
        if isinstance(value, base):
            return base(value)
    raise ValueError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}: checkpoints of models and optimizers "
        "hold tensors, numbers, strings and containers of them. Keep other objects in user_content"
    )


def _tensor(value: torch.Tensor) -> torch.Tensor:
    tensor = value.detach().cpu()
    if tensor.layout != torch.strided:
        return tensor
    # A slice of a large buffer would take the whole buffer to the file.
    large = tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
    return tensor.clone() if large else tensor
