"""What is asked in another way of older releases of torch, from 2.0 on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch.utils._pytree import tree_flatten


def leaves(tree: Any) -> list[Any]:
    """The leaves of nested containers (``tree_leaves`` is of 2.2)."""
    return tree_flatten(tree)[0]


@contextlib.contextmanager
def torch_functions() -> Iterator[None]:
    """Functions of torch ask their arguments' classes again, as they do outside of autograd (a context from 2.1 on)."""
    enable: Any = torch._C._EnableTorchFunction  # type: ignore[attr-defined]
    if hasattr(enable, "__enter__"):
        with enable():
            yield
        return
    guard = enable()  # as long as it lives
    try:
        yield
    finally:
        del guard


@lru_cache
def itemsize(dtype: torch.dtype) -> int:
    """Bytes of one element (``dtype.itemsize`` is of 2.1)."""
    return torch.empty((), dtype=dtype).element_size()


def size_in_bytes(tensor: torch.Tensor) -> int:
    """Bytes of all elements (``Tensor.nbytes`` is of 2.1)."""
    return tensor.numel() * tensor.element_size()


if hasattr(torch, "get_autocast_dtype"):  # 2.4

    def autocast(kind: str) -> tuple[bool, torch.dtype]:
        """Whether autocast is on for a kind of device, and with which dtype."""
        return torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

else:

    def autocast(kind: str) -> tuple[bool, torch.dtype]:
        if kind == "cpu":
            return torch.is_autocast_cpu_enabled(), torch.get_autocast_cpu_dtype()
        return torch.is_autocast_enabled(), torch.get_autocast_gpu_dtype()
