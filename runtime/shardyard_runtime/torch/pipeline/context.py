"""What a call inherits from its caller's thread: gradient mode and autocast."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from shardyard_runtime.torch.releases import autocast


@dataclass(frozen=True)
class CallContext:
    """Thread-local modes, captured at the call and restored on the owner."""

    grad: bool
    inference: bool
    autocast: tuple[tuple[str, bool, torch.dtype], ...]

    @classmethod
    def capture(cls) -> CallContext:
        kinds = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        modes = tuple((k, *autocast(k)) for k in kinds)
        return cls(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), modes)

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(torch.set_grad_enabled(self.grad))
            for kind, enabled, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False))
            yield
