"""Runs a function without keeping its activations, and again in backward, by ``torch.utils.checkpoint``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

from shardyard_runtime.torch.pipeline import regions
from shardyard_runtime.torch.pipeline.offload import Offload
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.regions import Region, Snapshot, snapshot
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, current
from shardyard_runtime.torch.releases import torch_functions

RECOMPUTED = "_shardyard_recomputed"  # on a module whose forward is a checkpointed region: its own forward


class Recompute:
    """What recomputes on this rank. With ``offload`` it is computed again from tensors that waited on the host."""

    def __init__(self, streams: Streams, offload: Offload | None = None) -> None:
        self._streams = streams
        self.offload = offload

    def __call__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        preserve_rng_state: bool = True,
    ) -> Any:
        """``function(*args, **kwargs)``, which draws the same random numbers again with ``preserve_rng_state``."""
        if not torch.is_grad_enabled():
            return function(*args, **kwargs)
        call = _Call(function, args, kwargs, self._streams if preserve_rng_state else None)
        # What a region inside another one is computed from, the outer one computes again.
        outermost = self.offload is not None and not regions.inside()
        with self.offload.kept() if self.offload and outermost else contextlib.nullcontext():
            return checkpoint(call, *call.taken(), use_reentrant=False, preserve_rng_state=False)


class _Call:
    """A call that can be made again with the tensors that autograd has kept for it.

    Remote tensors have no bytes for autograd to keep. In the second run each is as it was at the start of the first.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        streams: Streams | None,
    ) -> None:
        self._function, self._streams = function, streams
        leaves, self._structure = tree_flatten((args, kwargs))
        leaves = [current(leaf) for leaf in leaves]
        self._first: dict[int, Any] | None = dict(enumerate(leaves))
        self._kept = [i for i, leaf in enumerate(leaves) if _is_local(leaf)]
        self._rest: dict[int, Snapshot | Any] = {
            i: snapshot(leaf) if isinstance(leaf, RemoteTensor) else leaf
            for i, leaf in enumerate(leaves)
            if i not in self._kept
        }
        self._region = Region()
        self._state = streams.save() if streams is not None else None

    def taken(self) -> list[torch.Tensor]:
        assert self._first is not None
        return [self._first[i] for i in self._kept]

    def __call__(self, *tensors: torch.Tensor) -> Any:
        first, self._first = self._first, None
        if first is not None:
            return self._run(first)
        again = {i: one.again() if isinstance(one, Snapshot) else one for i, one in self._rest.items()}
        # Backward runs below torch functions, and what is done with remote tensors here depends on them.
        with self._same_stream(), torch_functions():
            return self._run({**again, **dict(zip(self._kept, tensors, strict=True))})

    def _run(self, leaves: dict[int, Any]) -> Any:
        args, kwargs = tree_unflatten([leaves.pop(i) for i in sorted(leaves)], self._structure)
        with self._region.running():
            return self._function(*args, **kwargs)

    @contextlib.contextmanager
    def _same_stream(self) -> Iterator[None]:
        if self._streams is None or self._state is None:
            yield
            return
        before = self._streams.save()
        self._streams.restore(self._state)
        try:
            yield
        finally:
            self._streams.restore(before)


def _is_local(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and not isinstance(leaf, RemoteTensor)
