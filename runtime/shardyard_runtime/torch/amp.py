"""``smp.amp``: loss scaling."""

from __future__ import annotations

from typing import Any

import torch

from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.ranks import pp_size


class GradScaler(torch.amp.GradScaler):
    """``torch.amp.GradScaler``; on a machine without GPUs it is disabled and passes values through.

    Raises NotBuiltYet on GPUs with more than one partition, which would have to agree on each overflow.
    """

    def __init__(self, init_scale: float = 2.0**16, *, enabled: bool = True, **kwargs: Any) -> None:
        enabled = enabled and torch.cuda.is_available()
        if enabled and pp_size() > 1:
            raise NotBuiltYet(
                "smp.amp.GradScaler",
                "loss scaling over several partitions",
                "pass enabled=False and train in bfloat16 (torch.autocast), which needs no scaling",
            )
        super().__init__("cuda", init_scale, enabled=enabled, **kwargs)
