"""The model's side of ``fp16`` and ``bf16``: its parameters' dtype, and what enters and leaves it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shardyard_runtime.config.parameters import SmpConfig
from shardyard_runtime.torch.partition.place import through_blanks
from shardyard_runtime.torch.tracing.stand_ins import copied


def low_dtype(cfg: SmpConfig) -> torch.dtype | None:
    """What the parameters ask the model to be converted to."""
    if cfg.fp16:
        return torch.float16
    return torch.bfloat16 if cfg.bf16 else None


class LowPrecisionModule(nn.Module):
    """Converts a model's parameters and floating buffers, in place: an optimizer made before goes on holding them.

    Floating inputs are converted on the way in, outputs to float32 on the way out, so that a loss computed in the
    step function is a float32 loss.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = module._apply(through_blanks(lambda t: t.to(dtype) if t.is_floating_point() else t))
        self._dtype = dtype

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = copied((args, kwargs), self._lowered)
        return copied(self.module(*args, **kwargs), self._raised)

    def _lowered(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def _raised(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.float() if tensor.dtype == self._dtype else tensor
