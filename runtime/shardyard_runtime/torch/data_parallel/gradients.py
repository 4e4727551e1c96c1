"""Averages gradients over the replicas after a backward, bucket by bucket in index order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from shardyard_runtime.torch.data_parallel.buckets import CommHook, GradBucket, grouped
from shardyard_runtime.torch.data_parallel.exchange import Agreed, Exchange
from shardyard_runtime.torch.data_parallel.replicas import broadcast_buffers, group, members, several
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.data_parallel.joining import Replica
    from shardyard_runtime.torch.model import DistributedModel


class Reducer:
    """The reduction of one model's gradients. ``replica`` is there while the script is inside ``model.join()``."""

    def __init__(self, model: DistributedModel, bucket_cap_mb: float, passes_per_step: int) -> None:
        self._model = model
        self._cap = bucket_cap_mb * 2**20
        self._passes_per_step = passes_per_step
        self._passes = 0
        self.exchange = Exchange()
        self._hook: tuple[Any, CommHook] | None = None
        self.replica: Replica | None = None

    def register(self, context: Any, hook: CommHook) -> None:
        """``hook(context, bucket)`` returns a future of what becomes the bucket's gradients, instead of the average."""
        if not state.cfg.ddp:
            raise RuntimeError(
                'model.register_comm_hook() is for data parallelism: set the parameter "ddp": true'
            )
        if not callable(hook):
            raise TypeError(f"register_comm_hook needs a function hook(state, bucket), not {hook!r}")
        if self._hook is not None:
            raise RuntimeError("register_comm_hook was called twice: a model has one communication hook")
        self._hook = (context, hook)

    @property
    def hooked(self) -> bool:
        """Whether a hook of the script's makes the averages, over microbatches too."""
        return self._hook is not None

    def begin(self, buffers: bool) -> None:
        """The start of a step that may train; with ``buffers`` all replicas take those of one."""
        if self.replica is not None:
            self.replica.begin_step(buffers)
        elif buffers:
            broadcast_buffers(self._model)

    def finish(self, ran_backward: bool) -> None:
        """The end of a step that trains, with or without a backward.

        A parameter without a gradient on this replica counts as zeros; one without any on all replicas keeps none.
        Raises PeerFailed when another replica abandoned this step.
        """
        joining = self.replica is not None
        if not (several() or self.hooked) or not (ran_backward or (joining and torch.is_grad_enabled())):
            return
        parameters = self._parameters()
        present = [p.grad is not None for p in parameters] if ran_backward else None
        self._reduce(parameters, self.exchange.agree(present), zeros=False)

    def shadow(self) -> None:
        """The same for a replica that has no batches left: it adds nothing, and keeps the gradients that it has."""
        parameters = self._parameters()
        self._reduce(parameters, self.exchange.agree(None, joined=True), zeros=True)

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for p in self._model.local_parameters() if p.requires_grad]

    def _reduce(self, parameters: list[torch.nn.Parameter], agreed: Agreed, zeros: bool) -> None:
        if agreed.present is None:
            return
        self._passes += 1
        if self._passes % self._passes_per_step:
            return
        keeps_size = self.replica is None or self.replica.divide_by_initial_world_size
        divisor = len(members()) if keeps_size else agreed.training
        there = [p for p, here in zip(parameters, agreed.present, strict=True) if here]
        buckets = grouped(there, self._cap)
        for index, run in enumerate(buckets):
            bucket = GradBucket(index, run, index == len(buckets) - 1, zeros)
            reduced = self._average(bucket, divisor)
            if not zeros:
                bucket.write(reduced)

    def _average(self, bucket: GradBucket, divisor: int) -> torch.Tensor:
        if self._hook is not None:
            context, hook = self._hook
            value = hook(context, bucket).wait()
            reduced: torch.Tensor = value[0] if isinstance(value, list | tuple) else value
            return reduced
        dist.all_reduce(bucket.buffer(), group=group())
        return bucket.buffer() / divisor
