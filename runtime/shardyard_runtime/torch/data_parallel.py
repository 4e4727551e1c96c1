"""Data parallelism: equal start values, and gradients averaged over the replicas after a backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.pipeline.errors import PeerFailed
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel

_KEY = "the count of its backward passes"


def synchronize(model: DistributedModel) -> None:
    """Gives every replica the parameters and buffers of the first one."""
    if not _active():
        return
    group = state.live.process_groups[Group.DP]
    source = state.live.placement.group(Group.DP, state.live.rank)[0]
    with torch.no_grad():
        for tensor in [*model.local_parameters(), *model.local_buffers()]:
            dist.broadcast(tensor.detach(), source, group=group)


def broadcast_buffers(model: DistributedModel) -> None:
    """Gives every replica the buffers of the first one, as one message; batch norm's would drift apart."""
    buffers = list({id(b): b for b in model.local_buffers()}.values())
    if not _active() or not buffers:
        return
    members = state.live.placement.group(Group.DP, state.live.rank)
    raw = [b.detach().reshape(-1).view(torch.uint8) for b in buffers]
    flat = torch.cat(raw)
    dist.broadcast(flat, members[0], group=state.live.process_groups[Group.DP])
    if state.live.rank != members[0]:
        with torch.no_grad():
            for buffer, piece in zip(buffers, flat.split([r.numel() for r in raw]), strict=True):
                buffer.copy_(piece.clone().view(buffer.dtype).view(buffer.shape))  # clone: aligned


def reduce_gradients(model: DistributedModel) -> None:
    """Averages gradients over the replicas, bucket by bucket in index order.

    A parameter without a gradient on this replica counts as zeros; one without any on all replicas keeps none.
    Raises PeerFailed when another replica abandoned this step.
    """
    if not _active():
        return
    passes, now = model.count_backward()
    parameters = [p for p in model.local_parameters() if p.requires_grad]
    present = _agree(_Pass(passes, [p.grad is not None for p in parameters]))
    if not now:
        return
    group = state.live.process_groups[Group.DP]
    size = dist.get_world_size(group)
    reduced = [p for p, here in zip(parameters, present, strict=True) if here]
    for bucket in _buckets(reduced, model.bucket_cap_mb * 2**20):
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat, group=group)
        flat /= size
        for parameter, piece in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(piece.view_as(parameter))


def abandon(model: DistributedModel, error: Exception) -> None:
    """Tells the other replicas that this one has no gradients to reduce, or they would wait for them."""
    if _active():
        passes, _ = model.count_backward()
        _tell(_Pass(passes, [], f"{type(error).__name__}: {error}"))


@dataclass
class _Pass:
    """What replicas tell each other after a backward: its count, which gradients there are, what failed."""

    number: int
    present: list[bool]
    failure: str | None = None


def _agree(mine: _Pass) -> list[bool]:
    """Which parameters have a gradient on any replica."""
    _tell(mine)
    heard = {peer: _hear(peer, mine.number) for peer in _peers()}
    for rank, other in heard.items():
        if other.failure is not None:
            raise PeerFailed(f"the replica of rank {rank} abandoned the step: {other.failure}")
        if other.number != mine.number:
            raise RuntimeError(
                f"rank {rank} reduces the gradients of its backward pass {other.number}, rank {state.live.rank} those "
                f"of {mine.number}: every replica must make the same number of steps with a backward. "
                "Give each the same number of batches (drop_last=True, or a DistributedSampler)"
            )
    return [any(column) for column in zip(mine.present, *(p.present for p in heard.values()), strict=True)]


def _tell(mine: _Pass) -> None:
    for peer in _peers():
        state.live.transport.send(peer, _KEY, mine)


def _hear(peer: int, number: int) -> _Pass:
    while True:
        heard: _Pass = state.live.transport.receive(peer, _KEY)
        if heard.number >= number:  # an earlier one answers a pass that was abandoned here
            return heard


def _peers() -> list[int]:
    rank = state.live.rank
    return [r for r in state.live.placement.group(Group.DP, rank) if r != rank]


def _active() -> bool:
    return state.cfg.ddp and len(state.live.placement.group(Group.DP, state.live.rank)) > 1


def _buckets(parameters: list[torch.nn.Parameter], cap: float) -> list[list[torch.nn.Parameter]]:
    """Runs of parameters of one dtype, each of at most ``cap`` bytes or one parameter."""
    buckets: list[list[torch.nn.Parameter]] = []
    filled = 0.0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if not buckets or buckets[-1][0].dtype != parameter.dtype or filled + size > cap:
            buckets.append([])
            filled = 0.0
        buckets[-1].append(parameter)
        filled += size
    return buckets
