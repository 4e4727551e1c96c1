"""State dicts of a partitioned model: whole, partial, and loaded before the partition is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.checkpoints.together import gather, regroup
from shardyard_runtime.torch.delayed.creation import is_delayed
from shardyard_runtime.torch.partitioned_model import PartitionedModel
from shardyard_runtime.torch.state import state

PARTIAL_KEY = "_smp_is_partial"


class ModelState(PartitionedModel):
    """The ``state_dict`` family."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[str, Any] | None = (
            None  # a state dict that waits for the partition, with PARTIAL_KEY
        )
        self._pending_how = True, False  # strict, same_partition_load

    def local_state_dict(self) -> dict[str, Any]:
        """Parameters and buffers of this rank's partition, marked with ``_smp_is_partial``."""
        if self._pending is not None:
            return dict(self._pending)
        self._require_values()
        full = self.get_module().state_dict()
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        local = {k: v for k, v in full.items() if not self.partitioned or self._owner_of(k) == mine}
        return {**local, PARTIAL_KEY: self.partitioned}

    def _owner_of(self, key: str) -> int:
        path = key.rpartition(".")[0]
        while path not in self._owner:  # custom state may lie deeper than the module that saves it
            path = path.rpartition(".")[0]
        return self._owner[path]

    def state_dict(self, *, gather_to_rank0: bool = False) -> dict[str, Any]:  # type: ignore[override]
        """The whole model's, on the CPU. Collective over the pipeline group, and over nothing else.

        With ``gather_to_rank0`` the other ranks get an empty dict.
        """
        if not self.partitioned and (self._pending is None or not self._pending[PARTIAL_KEY]):
            self._require_values()
            whole = self._pending or self.get_module().state_dict()
            return {key: value for key, value in whole.items() if key != PARTIAL_KEY}
        local = {k: _cpu(v) for k, v in self.local_state_dict().items() if k != PARTIAL_KEY}
        members = state.live.placement.group(Group.PP, state.live.rank)
        merged = gather(local, {0} if gather_to_rank0 else members)
        return {key: merged[key] for key in self.get_module().state_dict() if key in merged}

    def load_state_dict(  # type: ignore[override]
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        same_partition_load: bool = False,
    ) -> Any:
        """Loads a full dict, or the partial one of this partition; only what is here is filled.

        Before the first step a partial dict is loaded once the partition is known, as a full one is with delayed
        initialization. A partial one is collective over the pipeline group, and the parts are exchanged where the
        partition is not the saved one. With ``same_partition_load`` it is taken to be the same.

        Raises RuntimeError for missing keys and, with ``strict``, for unknown ones.
        """
        if assign:
            raise ValueError("assign=True would replace parameters that the optimizer holds: leave it out")
        items = {k: v for k, v in state_dict.items() if k != PARTIAL_KEY}
        partial = bool(state_dict.get(PARTIAL_KEY, False))
        if not self.partitioned and not partial and not is_delayed(self):
            self._pending = None
            return self.get_module().load_state_dict(items, strict=strict)
        if not self.partitioned:
            shapes = {k: getattr(v, "shape", None) for k, v in items.items()}
            parts = state.live.objects.allgather(shapes, Group.PP) if partial else [shapes]
            self._check_shapes(dict(i for part in parts for i in part.items()), strict)
            self._pending = {**items, PARTIAL_KEY: partial}
            self._pending_how = strict, same_partition_load
            return None
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        known = self.get_module().state_dict()
        expected = [k for k in known if self._owner_of(k) == mine]
        if partial and not same_partition_load:
            items = regroup(items, expected)
        missing = [k for k in expected if k not in items]
        if strict and missing:
            raise RuntimeError(
                f"the state dict lacks {missing} of partition {mine}; strict=False loads the rest"
            )
        unknown = [k for k in items if k not in known]
        if strict and unknown:
            raise RuntimeError(
                f"the state dict has {unknown}, which the model lacks; strict=False passes them over"
            )
        local = {k: items[k] for k in expected if k in items}
        result = self.get_module().load_state_dict(local, strict=False)
        if state.optimizer is not None:
            state.optimizer.parameters_loaded()
        result.missing_keys[:] = missing  # not what other ranks hold
        result.unexpected_keys[:] = unknown
        return result

    def load_pending(self) -> None:
        """Called once the partition is known."""
        waiting, self._pending = self._pending, None
        if waiting is not None:
            strict, same_partition = self._pending_how
            self.load_state_dict(waiting, strict, same_partition_load=same_partition)

    def _require_values(self) -> None:
        if self._pending is None and is_delayed(self):
            raise RuntimeError(
                "the model was created with delayed initialization: its parameters have values from its first step on"
            )

    def _check_shapes(self, shapes: dict[str, Any], strict: bool) -> None:
        """Says now, on every rank, what would fail in the first step."""
        known = self.get_module().state_dict()
        wrong = [
            f"{k} is {tuple(shapes[k])}, and the model's is {tuple(v.shape)}"
            for k, v in known.items()
            if isinstance(v, torch.Tensor) and shapes.get(k) is not None and shapes[k] != v.shape
        ]
        missing = [k for k in known if k not in shapes] if strict else []
        unknown = [k for k in shapes if k not in known] if strict else []
        if wrong or missing or unknown:
            raise RuntimeError(
                "the checkpoint does not fit the model"
                + (f"; other shapes: {wrong}" if wrong else "")
                + (f"; missing: {missing}" if missing else "")
                + (f"; unknown: {unknown}" if unknown else "")
            )


def _cpu(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value
