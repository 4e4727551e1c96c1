"""Averages gradients over the replicas: which step reduces what, and what replicas have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from shardyard_runtime.torch.data_parallel.arrivals import Arrivals
from shardyard_runtime.torch.data_parallel.exchange import Agreed, Exchange, Said
from shardyard_runtime.torch.data_parallel.hooks import CommHook
from shardyard_runtime.torch.data_parallel.launches import Launches
from shardyard_runtime.torch.data_parallel.replicas import broadcast_buffers, members, several
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.data_parallel.joining import Replica
    from shardyard_runtime.torch.model import DistributedModel


class Reducer:
    """The reduction of one model's gradients. ``replica`` is there while the script is inside ``model.join()``."""

    def __init__(
        self, model: DistributedModel, launches: Launches, passes_per_step: int, overlap: bool
    ) -> None:
        self._model = model
        self._launches = launches
        self._passes_per_step = passes_per_step
        self._overlap = overlap
        self._passes = 0
        self._exchange = Exchange()
        self._arrivals = Arrivals(launches.arrived)
        self._parameters: list[torch.nn.Parameter] = []
        self.replica: Replica | None = None

    def register(self, context: Any, hook: CommHook) -> None:
        """``hook(context, bucket)`` returns a future of what becomes the bucket's gradients, instead of the average."""
        if not state.cfg.ddp:
            raise RuntimeError(
                'model.register_comm_hook() is for data parallelism: set the parameter "ddp": true'
            )
        if not callable(hook):
            raise TypeError(f"register_comm_hook needs a function hook(state, bucket), not {hook!r}")
        if self.hooked:
            raise RuntimeError("register_comm_hook was called twice: a model has one communication hook")
        self._launches.hook = (context, hook)

    @property
    def hooked(self) -> bool:
        """Whether a hook of the script's makes the averages, over microbatches too."""
        return self._launches.hook is not None

    @property
    def _reduces(self) -> bool:
        return several() or self.hooked

    def begin(self, buffers: bool) -> None:
        """The start of a step that may train; with ``buffers`` all replicas take those of one."""
        if self.replica is not None:
            self.replica.begin_step(buffers)
        elif buffers:
            broadcast_buffers(self._model)

    def watch(self, function: Any) -> None:
        """From now on gradients belong to a step of ``function``."""
        if not self._reduces:
            return
        self._parameters = list(self._model.local_parameters())
        self._arrivals.open(function, self._parameters)
        reduces = (self._passes + 1) % self._passes_per_step == 0
        self._launches.begin(self._arrivals.outstanding, self._overlap and reduces)

    def finish(self, ran_backward: bool) -> None:
        """The end of a step that trains, with or without a backward.

        A parameter without a gradient on this replica counts as zeros; one without any on all replicas keeps none.
        Raises PeerFailed when another replica abandoned this step.
        """
        self._arrivals.close()
        if not self._reduces:
            return
        ran_backward |= self._launches.taken() != set()
        joining = self.replica is not None
        if not ran_backward and not (joining and torch.is_grad_enabled()):
            return
        said = self._said() if ran_backward else Said(None, launched=self._launches.count)
        try:
            agreed = self._exchange.agree(said)
        except Exception:
            self._launches.give_up()
            raise
        self._reduce(agreed)
        if said.present is not None:
            self._arrivals.learn(said.present)

    def shadow(self) -> None:
        """The same for a replica that has no batches left: it adds nothing, and keeps the gradients that it has."""
        self._parameters = list(self._model.local_parameters())
        said = Said(None, launched=self._launches.count, joined=True)
        self._reduce(self._exchange.agree(said), joined=True)

    def abandon(self, error: Exception) -> None:
        """The step failed on this replica; the others must not wait for it."""
        self._arrivals.close()
        if torch.is_grad_enabled() and self._reduces:
            self._launches.give_up()
            self._exchange.abandon(error)

    def _said(self) -> Said:
        taken = self._launches.taken()
        there = [p.requires_grad and p.grad is not None for p in self._parameters]
        new = [place for place, one in enumerate(there) if one and not self._launches.planned(place)]
        return Said(
            present=[one or place in taken for place, one in enumerate(there)],
            new=self._arrivals.in_order(new),
            late=[place for place, one in enumerate(there) if one and self._launches.left(place)],
            launched=self._launches.count,
        )

    def _reduce(self, agreed: Agreed, joined: bool = False) -> None:
        self._launches.settle(agreed.launched)
        if agreed.present is None:
            return
        self._passes += 1
        if self._passes % self._passes_per_step:
            return
        keeps_size = self.replica is None or self.replica.divide_by_initial_world_size
        divisor = len(members()) if keeps_size else agreed.training
        self._launches.finish(self._parameters, agreed, divisor, joined)
