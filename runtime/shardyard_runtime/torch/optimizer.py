"""``smp.DistributedOptimizer``: the user's optimizer, with state gathered over the partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.model import PARTIAL_KEY
from shardyard_runtime.torch.state import state


class DistributedOptimizer(torch.optim.Optimizer):
    """Wraps an optimizer; its parameter groups stay the same objects, so earlier schedulers go on working.

    Parameters of other partitions stay in the groups: they never have a gradient here and are passed over.
    The loss scale arguments mean something only with ``fp16``, which ``smp.init`` refuses for now.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        static_loss_scale: float = 1.0,
        dynamic_loss_scale: bool = False,
        dynamic_loss_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"DistributedOptimizer does not know {sorted(kwargs)}")
        self.optimizer = optimizer
        self.overflow = False
        state.optimizer = self

    def __getattr__(self, name: str) -> Any:
        """Hooks, defaults and whatever else the wrapped optimizer has."""
        if name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        return self.optimizer.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        return self.optimizer.step(closure) if closure is not None else self.optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def after_partition(self) -> None:
        """Drops state that was loaded for parameters of other partitions."""
        assert state.model is not None
        here = {id(p) for p in state.model.local_parameters()}
        for parameter in [p for p in self.optimizer.state if id(p) not in here]:
            del self.optimizer.state[parameter]

    def local_state_dict(self, gather_if_shard: bool = True) -> dict[str, Any]:
        """State of this partition's parameters, marked with ``_smp_is_partial``."""
        return {**self.optimizer.state_dict(), PARTIAL_KEY: True}

    def state_dict(self) -> dict[str, Any]:
        """State of all parameters, by their index in the groups. Collective over the pipeline group."""
        local = self.optimizer.state_dict()
        merged: dict[Any, Any] = {}
        for part in state.live.objects.allgather(local["state"], Group.PP):
            merged.update(part)
        return {**local, "state": dict(sorted(merged.items()))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a full or a partial dict; what belongs to other partitions is dropped."""
        self.optimizer.load_state_dict({k: v for k, v in state_dict.items() if k != PARTIAL_KEY})
        if state.model is not None and state.model.partitioned:
            self.after_partition()
