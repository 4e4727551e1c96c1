"""What the ranks that step together have to agree on: an overflow anywhere, the norm of all gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.distributed as dist

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.state import state


def in_join() -> bool:
    """Whether the script is inside ``model.join()``."""
    return state.model is not None and state.model.reducer.replica is not None


def anywhere(found: torch.Tensor) -> torch.Tensor:
    """The largest value of ``found``, a float32 scalar, on any rank of these model- and data-parallel groups.

    In place, and collective over them; without ``ddp`` replicas train on their own. So they do in ``model.join()``, where
    those that are through ask nothing: the others have the same gradients, the averages, and find the same.
    """
    group = Group.WORLD if state.cfg.ddp and not in_join() else Group.MP
    if len(state.live.placement.group(group, state.live.rank)) > 1:
        dist.all_reduce(found, op=dist.ReduceOp.MAX, group=state.live.process_groups[group])
    return found


def global_norm(gradients: Iterable[torch.Tensor], norm_type: float) -> torch.Tensor:
    """The norm of one replica's gradients, of which every rank of the pipeline group holds its own. Collective."""
    device = state.live.device
    norms = [torch.linalg.vector_norm(g.float(), norm_type).to(device) for g in gradients]
    local = torch.stack(norms) if norms else torch.zeros(1, device=device)
    several = state.live.placement.pp_size > 1
    group = state.live.process_groups[Group.PP]
    if math.isinf(norm_type):
        total = local.max()
        if several:
            dist.all_reduce(total, op=dist.ReduceOp.MAX, group=group)
        return total
    total = local.pow(norm_type).sum()
    if several:
        dist.all_reduce(total, group=group)
    return total.pow(1 / norm_type)
