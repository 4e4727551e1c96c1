"""Checkpointed regions: what other ranks returned to one is kept, so they do not run again when it is recomputed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, Value

_running = threading.local()


@dataclass(frozen=True)
class _Before:
    """A remote tensor as it was: whether its bytes were here then decides again where operations on it run."""

    value: Value
    here: bool
    requires_grad: bool

    def again(self) -> RemoteTensor:
        tensor = RemoteTensor(self.value.again(self.here))
        return tensor.requires_grad_(self.requires_grad)  # type: ignore[return-value]


@dataclass(frozen=True)
class _Held:
    """A tensor that this rank holds itself."""

    tensor: torch.Tensor
    version: int

    def again(self) -> torch.Tensor:
        if self.tensor._version != self.version:
            raise RuntimeError(
                f"a tensor of shape {tuple(self.tensor.shape)} that a module returned to a checkpointed region was "
                "changed in place there, and the region cannot be recomputed: change a clone"
            )
        return self.tensor.detach()


Snapshot = _Before | _Held


def snapshot(tensor: torch.Tensor) -> Snapshot:
    """What gives a recomputation the tensor that the region gets now."""
    if isinstance(tensor, RemoteTensor):
        return _Before(tensor.value, tensor.value.here, tensor.requires_grad)
    return _Held(tensor, 0 if tensor.is_inference() else tensor._version)


@dataclass(frozen=True)
class Kept:
    """A remote call that a region made: what was called, and what came back."""

    what: str
    returned: bytes
    elsewhere: frozenset[int]
    outputs: Sequence[Snapshot]
    needs_grad: list[bool]


class Region:
    """The remote calls of one checkpointed region, in order. Its first run makes them, later ones take their results."""

    def __init__(self) -> None:
        self._calls: list[Kept] = []
        self._ran = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        stack = _stack()
        stack.append(_Run(self._calls, self._ran))
        self._ran = True
        try:
            yield
        finally:
            stack.pop()


class _Run:
    """One run of a region. Regions nest; in a recomputed one, those inside run for the first time again."""

    def __init__(self, calls: list[Kept], again: bool) -> None:
        self.calls, self.again = calls, again
        self.next = 0

    def take(self, what: str) -> Kept:
        kept = self.calls[self.next] if self.next < len(self.calls) else None
        if kept is None or kept.what != what:
            raise RuntimeError(
                f"a checkpointed region calls {what!r} when it is recomputed, and "
                f"{f'called {kept.what!r}' if kept else 'did not'} before: it must do the same both times"
            )
        self.next += 1
        return kept


def _stack() -> list[_Run]:
    if not hasattr(_running, "stack"):
        _running.stack = []
    return _running.stack  # type: ignore[no-any-return]


def inside() -> bool:
    """True on a thread that runs a checkpointed region."""
    return bool(_stack())


def kept(what: str) -> Kept | None:
    """The result of this call, where it was made before; to be made otherwise, and given to :func:`keep`."""
    found = next((run.take(what) for run in _stack() if run.again), None)
    if found is not None:
        keep(found)
    return found


def keep(call: Kept) -> None:
    for run in _stack():
        if not run.again:
            run.calls.append(call)
