"""Activations wait for their backward in the host's memory, and come back ahead of it.

Those are what checkpointed regions are computed again from, and the tensors that a rank holds for others.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

import torch


class Away:
    """A tensor whose bytes are on the host; they may be on their way back."""

    def __init__(self, tensor: torch.Tensor, copies: Copies) -> None:
        self._copies = copies
        self._host = copies.to_host(tensor)
        self._back: tuple[torch.Tensor, Any] | None = None

    def bring(self) -> None:
        """Starts the way back."""
        if self._back is None:
            self._back = self._copies.to_device(self._host)

    def tensor(self) -> torch.Tensor:
        """The tensor on the device; it stays on the host as well."""
        self.bring()
        assert self._back is not None
        (tensor, arrived), self._back = self._back, None
        return self._copies.ready(tensor, arrived)


class Copies:
    """Between a device and its host. On the CPU, whose memory is the host's, they are plain copies."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._stream is None:
            return tensor.detach().clone()
        self._stream.wait_stream(torch.cuda.current_stream())  # the tensor may still be being computed
        with torch.cuda.stream(self._stream):
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor.detach(), non_blocking=True)
        tensor.record_stream(
            self._stream
        )  # freed by then, its memory is not used again before the copy is done
        return host

    def to_device(self, host: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """The tensor and when it is there: on the same stream as the way to the host, so after that."""
        if self._stream is None:
            return host.clone(), None
        with torch.cuda.stream(self._stream):
            return host.to(self._device, non_blocking=True), self._stream.record_event()

    def ready(self, tensor: torch.Tensor, arrived: Any) -> torch.Tensor:
        """The tensor, for what the current stream does from now on."""
        if arrived is not None:
            torch.cuda.current_stream().wait_event(arrived)
            tensor.record_stream(torch.cuda.current_stream())
        return tensor


class Offload:
    """What autograd keeps, by microbatch. Backward takes it in the reverse order, ``horizon`` tensors ahead.

    ``microbatch`` says which one is running.
    """

    def __init__(self, device: torch.device, horizon: int, microbatch: Callable[[], int]) -> None:
        self.copies = Copies(device)
        self._horizon = horizon
        self._microbatch = microbatch
        self._kept: dict[int, list[weakref.ref[Away]]] = {}

    def kept(self) -> contextlib.AbstractContextManager[Any]:
        """While active, autograd keeps tensors on the host."""
        return torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def expect(self, microbatch: int) -> None:
        """A backward of the microbatch begins, or goes on: what it takes next comes back."""
        waiting = self._kept.get(microbatch, [])
        for reference in waiting[max(0, len(waiting) - self._horizon) :]:
            away = reference()
            if away is not None:
                away.bring()

    def close(self, microbatch: int) -> None:
        self._kept.pop(microbatch, None)

    def clear(self) -> None:
        self._kept.clear()

    def _pack(self, tensor: torch.Tensor) -> tuple[Away, int]:
        away, microbatch = Away(tensor, self.copies), self._microbatch()
        self._kept.setdefault(microbatch, []).append(weakref.ref(away))
        return away, microbatch

    def _unpack(self, packed: tuple[Away, int]) -> torch.Tensor:
        away, microbatch = packed
        tensor = away.tensor()
        waiting = self._kept.get(microbatch, [])
        waiting[:] = [other for other in waiting if other() is not None and other() is not away]
        self.expect(microbatch)
        return tensor
