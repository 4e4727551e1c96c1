"""Whether a thread is inside a collective of torch.distributed, seen from another thread.

Nothing is wrapped: the script's own collectives are seen like ours. Gloo and NCCL count the calls of each group.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import torch.distributed as dist

from shardyard_runtime.comm.deadlock import Collective
from shardyard_runtime.comm.torch_sites import site

_FILE = getattr(dist.distributed_c10d, "__file__", None)
_FROM_ALL = frozenset(
    "all_reduce all_gather all_gather_into_tensor reduce_scatter reduce_scatter_tensor all_to_all all_to_all_single "
    "barrier".split()
)
_FROM_ONE = frozenset({"broadcast", "scatter"})


def entered(threads: Iterable[int]) -> tuple[Collective, str] | None:
    """The collective that one of these threads is in, and a text for it with the line that called it."""
    frames = sys._current_frames()
    for thread in threads:
        frame = frames.get(thread)
        if frame is None or frame.f_code.co_filename != _FILE:
            continue
        group = frame.f_locals.get("group") or dist.group.WORLD
        needs, count = _needs(frame, group), _count(group)
        if needs is None or count is None:
            continue
        call = Collective(_names()[group], needs, count)
        return call, f"torch.distributed.{frame.f_code.co_name}, at {site(frame)}"
    return None


def _needs(frame: FrameType, group: Any) -> tuple[int, ...] | None:
    """The global ranks without which the collective cannot end here; None where it is not known to wait for any."""
    members = tuple(dist.get_process_group_ranks(group))
    if frame.f_code.co_name in _FROM_ALL:
        return members
    source = frame.f_locals.get("src")
    if source is None and frame.f_locals.get("group_src") is not None:
        source = members[frame.f_locals["group_src"]]
    if frame.f_code.co_name in _FROM_ONE and source is not None and source != dist.get_rank():
        return (source,)
    return None


def counts() -> dict[str, int]:
    """The number of collectives that this rank has called in each of its groups."""
    made = {name: _count(group) for group, name in _names().items()}
    return {name: count for name, count in made.items() if count is not None}


def _count(group: Any) -> int | None:
    try:
        return int(group._get_sequence_number_for_group())
    except RuntimeError:  # a backend that does not count
        return None


def _names() -> dict[Any, str]:
    """Process groups of this rank, and the names by which all ranks know them."""
    if not dist.is_initialized():
        return {}
    return dict(dist.distributed_c10d._world.pg_names)
