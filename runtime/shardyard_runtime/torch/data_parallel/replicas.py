"""The replicas of this rank's partition: who they are, and what they take from one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.state import state

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel


def several() -> bool:
    """Whether there are replicas to keep in step."""
    return state.cfg.ddp and len(members()) > 1


def members() -> tuple[int, ...]:
    """Global ranks of the data-parallel group."""
    return state.live.placement.group(Group.DP, state.live.rank)


def peers() -> list[int]:
    return [rank for rank in members() if rank != state.live.rank]


def group() -> Any:
    return state.live.process_groups[Group.DP]


def synchronize(model: DistributedModel, source: int | None = None) -> None:
    """Gives every replica the parameters and buffers of ``source``, a global rank: without it, of the first one."""
    if not several():
        return
    with torch.no_grad():
        for tensor in [*model.local_parameters(), *model.local_buffers()]:
            dist.broadcast(tensor.detach(), members()[0] if source is None else source, group=group())


def broadcast_buffers(model: DistributedModel, source: int | None = None) -> None:
    """The buffers only, as one message; batch norm's would drift apart."""
    buffers = list({id(b): b for b in model.local_buffers()}.values())
    if not several() or not buffers:
        return
    root = members()[0] if source is None else source
    raw = [b.detach().reshape(-1).view(torch.uint8) for b in buffers]
    flat = torch.cat(raw)
    dist.broadcast(flat, root, group=group())
    if state.live.rank != root:
        with torch.no_grad():
            for buffer, piece in zip(buffers, flat.split([r.numel() for r in raw]), strict=True):
                buffer.copy_(piece.clone().view(buffer.dtype).view(buffer.shape))  # clone: aligned
