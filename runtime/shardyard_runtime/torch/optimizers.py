"""``smp.optimizers``: optimizers that are only a name so far."""

from __future__ import annotations

from typing import Any

import torch

from shardyard_runtime.errors import NotBuiltYet


class FusedLAMB(torch.optim.Optimizer):
    """Not built yet: raises NotBuiltYet when constructed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotBuiltYet("smp.optimizers.FusedLAMB", "this optimizer", "use torch.optim.AdamW, fused=True")


FusedLamb = FusedLAMB  # the documentation's spelling; scripts have the other


class FusedNovoGrad(torch.optim.Optimizer):
    """Not built yet: raises NotBuiltYet when constructed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotBuiltYet(
            "smp.optimizers.FusedNovoGrad", "this optimizer", "use torch.optim.AdamW, fused=True"
        )
