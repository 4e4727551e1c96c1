"""``smp.DistributedOptimizer``: the user's optimizer, with state gathered over the partitions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.checkpoints.together import regroup
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
        self._pending: dict[str, Any] | None = None  # state that waits for the partition
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
        """Drops state of parameters of other partitions, and takes what was loaded before."""
        assert state.model is not None
        here = {id(p) for p in state.model.local_parameters()}
        for parameter in [p for p in self.optimizer.state if id(p) not in here]:
            del self.optimizer.state[parameter]
        waiting, self._pending = self._pending, None
        if waiting is not None:
            self._take({**waiting, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def local_state_dict(self, gather_if_shard: bool = True) -> dict[str, Any]:
        """State of this partition's parameters, marked with ``_smp_is_partial``."""
        local = self.optimizer.state_dict()
        if self._pending is not None:
            local["state"] = self._pending["state"]
        return {**local, PARTIAL_KEY: True}

    def state_dict(self) -> dict[str, Any]:
        """State of all parameters, on the CPU, by their index in the groups. Collective over the pipeline group."""
        local = {k: v for k, v in self.local_state_dict().items() if k != PARTIAL_KEY}
        merged: dict[Any, Any] = {}
        for part in state.live.objects.allgather(_on_cpu(local["state"]), Group.PP):
            merged.update(part)
        return {**local, "state": dict(sorted(merged.items()))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a full or a partial dict; what belongs to other partitions is dropped.

        Before the first step the groups' options are set now, the state once the partition is known. A partial
        dict is collective over the pipeline group: its parts are exchanged where the partition is not the saved one.

        Raises ValueError when the groups are not like those that were saved.
        """
        if state.model is None or state.model.partitioned:
            self._pending = None
            self._take(state_dict)
            return
        self.optimizer.load_state_dict({**_plain(state_dict), "state": {}})
        self._pending = state_dict

    def _take(self, state_dict: dict[str, Any]) -> None:
        """Loads the state of the parameters that are here, in copies of its own."""
        entries = state_dict["state"]
        if state.model is not None:
            here = {id(p) for p in state.model.local_parameters()}
            wanted = {index for index, parameter in self._indexed() if id(parameter) in here}
            if state_dict.get(PARTIAL_KEY, False):
                entries = regroup(entries, wanted)
            entries = {index: copy.deepcopy(entries[index]) for index in sorted(wanted) if index in entries}
        self.optimizer.load_state_dict({**_plain(state_dict), "state": entries})

    def _indexed(self) -> Iterator[tuple[int, torch.nn.Parameter]]:
        """The number that the optimizer's state dict gives each parameter."""
        numbered = self.optimizer.state_dict()["param_groups"]
        for numbers, group in zip(numbered, self.optimizer.param_groups, strict=True):
            yield from zip(numbers["params"], group["params"], strict=True)


def _plain(state_dict: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state_dict.items() if k != PARTIAL_KEY}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {k: _on_cpu(v) for k, v in value.items()}
    return value
