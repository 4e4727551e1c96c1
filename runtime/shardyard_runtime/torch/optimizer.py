"""``smp.DistributedOptimizer``: the user's optimizer, its masters and loss scale, state gathered over the partitions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.checkpoints.together import regroup
from shardyard_runtime.torch.model_state import PARTIAL_KEY
from shardyard_runtime.torch.precision.agree import anywhere, global_norm
from shardyard_runtime.torch.precision.loss_scale import LossScale, loss_scale
from shardyard_runtime.torch.precision.masters import Masters
from shardyard_runtime.torch.precision.model import low_dtype
from shardyard_runtime.torch.state import state

MASTER_KEY = "_smp_master"  # a parameter's float32 value, in its entry of a state dict
SCALE_KEY = "_smp_loss_scale"
_OURS = (PARTIAL_KEY, SCALE_KEY)


class DistributedOptimizer(torch.optim.Optimizer):
    """Wraps an optimizer; its parameter groups stay the same objects, so earlier schedulers go on working.

    Parameters of other partitions stay in the groups: they never have a gradient here and are passed over.
    With ``fp16`` or ``bf16``, from the first step on, float32 masters stand in the groups for this rank's parameters.

    Args:
        optimizer: an optimizer over the model's parameters.
        static_loss_scale: the loss scale of ``fp16``; None means 1. Without ``fp16`` no loss is scaled.
        dynamic_loss_scale: find the scale while training, instead.
        dynamic_loss_args: ``init_scale``, ``scale_factor``, ``scale_window``, ``min_scale``, ``delayed_shift``,
            ``consecutive_hysteresis``; also taken as keywords.
    """

    # torch's GradScaler would hand the scale to a fused optimizer through attributes of this object.
    _step_supports_amp_scaling = False

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        static_loss_scale: float | None = 1.0,
        dynamic_loss_scale: bool = False,
        dynamic_loss_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.optimizer = optimizer
        if low_dtype(state.cfg) is not None:
            _require_only(state.optimizer)
        scale = loss_scale(static_loss_scale, dynamic_loss_scale, {**(dynamic_loss_args or {}), **kwargs})
        self._scale = scale if state.cfg.fp16 else LossScale()
        self._masters = Masters(optimizer) if low_dtype(state.cfg) is not None else None
        self.overflow = False
        self._unscaled = False  # the masters have the gradients that the next step is for
        self._pending: dict[str, Any] | None = None  # state that waits for the partition
        if state.model is not None and state.model.partitioned:
            self._adopt()
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

    @property
    def loss_scale(self) -> float:
        """What ``model.backward`` multiplies the loss with."""
        return self._scale.scale

    @property
    def fp16_groups(self) -> list[list[torch.nn.Parameter]]:
        """The model's parameters, a list a group."""
        held = [group["params"] for group in self.param_groups]
        return [[self._parameter(p) for p in group] for group in held]

    @property
    def fp32_from_fp16_groups(self) -> list[list[torch.nn.Parameter]]:
        """What the wrapped optimizer steps on: masters of this rank's parameters, a list a group."""
        return [list(group["params"]) for group in self.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """A step of the wrapped optimizer, on the masters where there are any.

        With ``fp16`` it is skipped, and :attr:`overflow` set, when a gradient is not finite on any rank: every rank
        of the model- and data-parallel groups calls it.
        """
        if self._masters is None:
            return self.optimizer.step(closure) if closure is not None else self.optimizer.step()
        if closure is not None:
            raise ValueError(
                "optimizer.step(closure) has no meaning with fp16 or bf16: leave the closure out"
            )
        self._unscale()
        self._unscaled = False
        result = None
        if not self.overflow:
            result = self.optimizer.step()
            self._masters.publish()
        self._masters.clear_master_gradients()
        self._scale.update(self.overflow)
        return result

    def _unscale(self) -> None:
        if self._masters is None or self._unscaled:
            return
        found = self._masters.unscale(self._scale.scale)
        if state.cfg.fp16:
            self.overflow = bool(anywhere(found.to(state.live.device)).item())
        self._unscaled = True

    def clip_master_grads(self, max_norm: float, norm_type: float = 2.0) -> float:
        """Scales all gradients so that their norm is at most ``max_norm``, and returns what it was; -1 on overflow.

        The norm is that of the whole model. Collective over the pipeline group, after the last backward of a step.
        """
        self._unscale()
        if self.overflow:
            return -1.0
        gradients = self._gradients()
        norm = global_norm(gradients, float(norm_type)).item()
        factor = max_norm / (norm + 1e-6)
        if factor < 1:
            for gradient in gradients:
                gradient.mul_(factor)
        return norm

    def _gradients(self) -> list[torch.Tensor]:
        if self._masters is not None:
            return self._masters.gradients()
        held = [p for group in self.param_groups for p in group["params"]]
        return [p.grad for p in held if p.grad is not None]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._unscaled = False
        self.optimizer.zero_grad(set_to_none=set_to_none)
        if self._masters is not None:
            self._masters.clear_gradients(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)
        if state.model is not None and state.model.partitioned:
            self._adopt()

    def parameters_loaded(self) -> None:
        """Called by the model when its parameters have changed other than by a step."""
        if self._masters is not None:
            self._masters.refresh()

    def synchronize(self, source: int) -> None:
        """Takes the state of global rank ``source``, masters and loss scale among it; its groups' options stay.

        Collective over the data-parallel group.
        """
        mine = self.local_state_dict() if state.live.rank == source else None
        everyone = state.live.objects.allgather(mine, Group.DP)
        if mine is None:
            theirs = everyone[state.live.placement.rank_in(Group.DP, source)]
            options = self.optimizer.state_dict()["param_groups"]
            self.load_state_dict({**theirs, PARTIAL_KEY: False, "param_groups": options})

    def _adopt(self) -> None:
        assert state.model is not None
        if self._masters is not None:
            self._masters.adopt({id(p) for p in state.model.local_parameters()})

    def _parameter(self, held: torch.nn.Parameter) -> torch.nn.Parameter:
        return held if self._masters is None else self._masters.parameter(held)

    def after_partition(self) -> None:
        """Drops state of parameters of other partitions, and takes what was loaded before."""
        assert state.model is not None
        here = {id(p) for p in state.model.local_parameters()}
        for parameter in [p for p in self.optimizer.state if id(p) not in here]:
            del self.optimizer.state[parameter]
        self._adopt()
        waiting, self._pending = self._pending, None
        if waiting is not None:
            self._take({**waiting, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def local_state_dict(self, gather_if_shard: bool = True) -> dict[str, Any]:
        """State of this partition's parameters, marked with ``_smp_is_partial``."""
        local = self.optimizer.state_dict()
        if self._pending is not None:
            local["state"] = self._pending["state"]
        elif self._masters is not None:
            for index, held in self._indexed():
                if self._masters.parameter(held) is not held:
                    entry = local["state"].get(index, {})
                    local["state"][index] = {**entry, MASTER_KEY: held.detach()}
        if state.cfg.fp16:
            local[SCALE_KEY] = self._scale.state_dict()
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
        if state.cfg.fp16 and SCALE_KEY in state_dict:
            self._scale.load_state_dict(state_dict[SCALE_KEY])
        if state.model is None or state.model.partitioned:
            self._pending = None
            self._take(state_dict)
            return
        self.optimizer.load_state_dict({**_plain(state_dict), "state": {}})
        self._pending = state_dict

    def _take(self, state_dict: dict[str, Any]) -> None:
        """Loads the state of the parameters that are here, in copies of its own."""
        entries = {index: dict(entry) for index, entry in state_dict["state"].items()}
        if state.model is not None:
            here = {id(p) for p in state.model.local_parameters()}
            wanted = {index for index, held in self._indexed() if id(self._parameter(held)) in here}
            if state_dict.get(PARTIAL_KEY, False):
                entries = regroup(entries, wanted)
            entries = {index: copy.deepcopy(entries[index]) for index in sorted(wanted) if index in entries}
        masters = {index: entry.pop(MASTER_KEY) for index, entry in entries.items() if MASTER_KEY in entry}
        entries = {index: entry for index, entry in entries.items() if entry}  # a master may have been all
        self.optimizer.load_state_dict({**_plain(state_dict), "state": entries})
        for index, held in self._indexed():
            if index in masters and self._masters is not None:
                held.data.copy_(masters[index])

    def _indexed(self) -> Iterator[tuple[int, torch.nn.Parameter]]:
        """The number that the optimizer's state dict gives each parameter."""
        numbered = self.optimizer.state_dict()["param_groups"]
        for numbers, group in zip(numbered, self.optimizer.param_groups, strict=True):
            yield from zip(numbers["params"], group["params"], strict=True)


def _require_only(other: DistributedOptimizer | None) -> None:
    """Raises RuntimeError where this model has an optimizer already: a model in 16 bits has one loss scale."""
    if other is not None and state.model is not None:
        mine = {id(p) for p in state.model.parameters()}
        if any(id(p) in mine for group in other.fp16_groups for p in group):
            raise RuntimeError(
                "smp.DistributedOptimizer was made twice: with fp16 or bf16 a model has one. Give it the parameters of "
                "both, as groups"
            )


def _plain(state_dict: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state_dict.items() if k not in _OURS}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {k: _on_cpu(v) for k, v in value.items()}
    return value
