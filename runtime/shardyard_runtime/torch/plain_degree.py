"""What a model answers to questions about tensor parallelism, whose degree is 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import nn


class _Model(Protocol):
    def get_module(self) -> nn.Module: ...

    def local_named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


class PlainDegree:
    """No module, parameter or buffer is split over ranks."""

    def distributed_modules(self) -> Iterator[nn.Module]:
        return iter(())

    def is_distributed_parameter(self, param: nn.Parameter) -> bool:
        return False

    def is_distributed_buffer(self, buf: torch.Tensor) -> bool:
        return False

    def is_scaled_batch_parameter(self, param: nn.Parameter) -> bool:
        return False

    def is_scaled_batch_buffer(self, buf: torch.Tensor) -> bool:
        return False

    def default_reducer_named_parameters(self: _Model) -> Iterator[tuple[str, nn.Parameter]]:
        """Those whose gradients are averaged over the data-parallel group: all that are here."""
        return self.local_named_parameters()

    def scaled_batch_reducer_named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(())

    def virtual_named_parameters(self: _Model) -> Iterator[tuple[str, nn.Parameter]]:
        return self.get_module().named_parameters()
