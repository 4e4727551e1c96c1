"""``smp.amp``: loss scaling."""

from __future__ import annotations

from typing import Any

import torch

from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.precision.agree import anywhere, in_join
from shardyard_runtime.torch.state import state

_on_any_device = hasattr(torch.amp, "GradScaler")  # torch before 2.3 scales on GPUs only
_Base: Any = torch.amp.GradScaler if _on_any_device else torch.cuda.amp.GradScaler


class GradScaler(_Base):  # type: ignore[misc]
    """``torch.amp.GradScaler``, on whose scale and skipped steps all ranks agree. For float32 parameters.

    ``scale`` is called in the step function, ``unscale_``, ``step`` and ``update`` by every rank, with the optimizer
    that ``smp.DistributedOptimizer`` returned. Raises ValueError with ``fp16`` or ``bf16``, NotBuiltYet
    in ``model.join()``.
    """

    def __init__(self, init_scale: float = 2.0**16, *, enabled: bool = True, **kwargs: Any) -> None:
        if enabled and (state.cfg.fp16 or state.cfg.bf16):
            raise ValueError(
                "smp.amp.GradScaler is for float32 parameters, and with fp16 or bf16 they are not: pass "
                "dynamic_loss_scale=True to smp.DistributedOptimizer, and enabled=False here"
            )
        where = (state.live.device.type,) if _on_any_device else ()
        enabled = enabled and (_on_any_device or torch.cuda.is_available())
        super().__init__(*where, init_scale, enabled=enabled, **kwargs)
        if enabled:  # only the pipeline's first rank scales a loss, and every rank steps
            self._lazy_init_scale_growth_tracker(state.live.device)

    def _unscale_grads_(self, *args: Any, **kwargs: Any) -> dict[torch.device, torch.Tensor]:
        """torch's, which says where this rank found an overflow; then whether any rank did."""
        if in_join():
            raise NotBuiltYet(
                "DistributedModel.join",
                "an smp.amp.GradScaler in it, whose scale replicas that are through would need,",
                "train in fp16, bf16 or float32, or give each replica as many batches: drop_last=True",
            )
        found: dict[torch.device, torch.Tensor] = super()._unscale_grads_(*args, **kwargs)
        device = state.live.device
        here = [one.to(device).reshape(()) for one in found.values()]
        total = anywhere(torch.stack(here).max() if here else torch.zeros((), device=device))
        return {where: total.to(where).reshape(1) for where in found} or {device: total.reshape(1)}
