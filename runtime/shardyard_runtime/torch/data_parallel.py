"""Data parallelism: equal start values, and gradients averaged over the replicas after a backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel


def synchronize(model: DistributedModel) -> None:
    """Gives every replica the parameters and buffers of the first one."""
    if not _active():
        return
    group = state.live.process_groups[Group.DP]
    source = state.live.placement.group(Group.DP, state.live.rank)[0]
    with torch.no_grad():
        for tensor in [*model.local_parameters(), *model.local_buffers()]:
            dist.broadcast(tensor.detach(), source, group=group)


def reduce_gradients(model: DistributedModel) -> None:
    """Averages gradients over the replicas, bucket by bucket in index order.

    A parameter without a gradient on this replica counts as zeros; one without any on all replicas keeps none.
    """
    if not _active() or not model.reduces_now():
        return
    group = state.live.process_groups[Group.DP]
    size = dist.get_world_size(group)
    parameters = [p for p in model.local_parameters() if p.requires_grad]
    if not parameters:
        return
    present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8)
    present = present.to(state.live.device)
    dist.all_reduce(present, dist.ReduceOp.MAX, group=group)
    reduced = [p for p, here in zip(parameters, present.tolist(), strict=True) if here]
    for bucket in _buckets(reduced, model.bucket_cap_mb * 2**20):
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat, group=group)
        flat /= size
        for parameter, piece in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(piece.view_as(parameter))


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
