"""``model.join()``: replicas with different numbers of batches, through torch's own join context.

A replica whose batches are used up goes on taking part in what the others do together, with nothing of its own; at
the end all have the parameters, buffers and optimizer state of one that trained longest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.join import Join, Joinable, JoinHook

from shardyard_runtime.torch.data_parallel import replicas
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel


@contextlib.contextmanager
def joined(model: DistributedModel, divide_by_initial_world_size: bool, throw: bool) -> Iterator[None]:
    """Inside, replicas may make different numbers of steps; see ``DistributedModel.join``."""
    replica = Replica(model, divide_by_initial_world_size)
    model.reducer.replica = replica
    try:
        with Join([replica], throw_on_early_termination=throw):
            yield
    finally:
        model.reducer.replica = None


class Replica(Joinable):
    """This rank's part of a replica, as torch's join context sees it."""

    def __init__(self, model: DistributedModel, divide_by_initial_world_size: bool) -> None:
        super().__init__()
        self._model = model
        self.divide_by_initial_world_size = divide_by_initial_world_size

    def join_hook(self, **kwargs: Any) -> JoinHook:
        return _Shadow(self._model, self)

    @property
    def join_device(self) -> torch.device:
        return state.live.device

    @property
    def join_process_group(self) -> Any:
        return replicas.group()

    def begin_step(self, buffers: bool) -> None:
        """Says that this replica trains another step; with ``buffers`` all take those of the first that does.

        Raises RuntimeError when a replica has none left and the script asked for an end then.
        """
        work = Join.notify_join_context(self)
        if work is not None:
            work.wait()
        self.share_buffers(trains=True, buffers=buffers)

    def share_buffers(self, trains: bool, buffers: bool = False) -> None:
        first, unwanted = replicas.members().index(state.live.rank), 1
        word = torch.tensor([first if trains else 2**31, 0 if buffers else unwanted], device=self.join_device)
        dist.all_reduce(word, op=dist.ReduceOp.MIN, group=replicas.group())
        source, without = word.tolist()
        if without != unwanted:
            replicas.broadcast_buffers(self._model, replicas.members()[source])


class _Shadow(JoinHook):
    """What a replica without batches does while others have some."""

    def __init__(self, model: DistributedModel, replica: Replica) -> None:
        self._model = model
        self._replica = replica

    def main_hook(self) -> None:
        """Mirrors one step of the others."""
        if not self._model.partitioned:
            raise RuntimeError(
                f"the replica of rank {state.live.rank} had no batch at all: each needs one, for the first step "
                "partitions the model on every rank"
            )
        self._replica.share_buffers(trains=False)
        self._model.reducer.shadow()

    def post_hook(self, is_last_joiner: bool) -> None:
        """Takes the model of the last to join, of those the first."""
        own = replicas.members().index(state.live.rank)
        word = torch.tensor(own if is_last_joiner else 2**31, device=self._replica.join_device)
        dist.all_reduce(word, op=dist.ReduceOp.MIN, group=replicas.group())
        source = replicas.members()[int(word)]
        replicas.synchronize(self._model, source)
        if state.optimizer is not None:
            state.optimizer.synchronize(source)
