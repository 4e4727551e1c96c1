"""Objects with tensors, as bytes and buffers: the structure is pickled, each tensor travels beside it."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.tensors: list[torch.Tensor] = []
        self._index: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, torch.Tensor):
            return None
        if id(obj) not in self._index:
            self._index[id(obj)] = len(self.tensors)
            self.tensors.append(obj)
        return self._index[id(obj)]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, tensors: list[Any]) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, pid: int) -> Any:
        return self._tensors[pid]


def flatten(obj: Any) -> tuple[bytes, list[torch.Tensor]]:
    """The structure of any picklable object, and the distinct tensors in it, in order of first appearance."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(obj)
    return file.getvalue(), pickler.tensors


def unflatten(structure: bytes, tensors: list[Any]) -> Any:
    """Inverse of :func:`flatten`, with other tensors (or anything else) in the places of the tensors."""
    return _Unpickler(io.BytesIO(structure), tensors).load()


def to_wire(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous CPU tensor with the same values, cut off from autograd."""
    return tensor.detach().to("cpu").contiguous().resolve_conj().resolve_neg()


def as_buffer(tensor: torch.Tensor) -> Any:
    """The bytes of a contiguous CPU tensor, as a buffer that MPI reads or fills in place."""
    # One element may count as contiguous with any stride, which a view as bytes does not take.
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy()
