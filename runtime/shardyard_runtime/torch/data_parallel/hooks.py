"""Communication hooks: a function of the script's that reduces buckets in place of the average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from shardyard_runtime.torch.data_parallel.buckets import Bucket, pieces


class GradBucket:
    """What a hook gets: a bucket of gradients, with the methods of ``torch.distributed.GradBucket``."""

    def __init__(self, index: int, bucket: Bucket, buffer: torch.Tensor, last: bool) -> None:
        self._index = index
        self._parameters = bucket.parameters
        self._buffer = buffer
        self._last = last

    def index(self) -> int:
        return self._index

    def buffer(self) -> torch.Tensor:
        """All gradients of the bucket, one after another, as one dimension."""
        return self._buffer

    def set_buffer(self, buffer: torch.Tensor) -> None:
        self._buffer = buffer

    def gradients(self) -> list[torch.Tensor]:
        """One view of the buffer a parameter, in its shape."""
        return pieces(self._buffer, self._parameters)

    def parameters(self) -> list[torch.Tensor]:
        return list(self._parameters)

    def is_last(self) -> bool:
        """True for the last bucket of a step."""
        return self._last


CommHook = Callable[[Any, GradBucket], "torch.futures.Future[torch.Tensor]"]
