"""Whether a thread is inside a collective of torch.distributed, seen from another thread.

Nothing is wrapped: the script's own collectives are seen like ours. Gloo and NCCL count the calls of each group.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import torch.distributed as dist

from shardyard_runtime.comm.deadlock import Collective
from shardyard_runtime.comm.torch_sites import site

_FILE = getattr(dist.distributed_c10d, "__file__", None)


def entered(threads: Iterable[int]) -> tuple[Collective, str] | None:
    """The collective that one of these threads is in, and a text for it with the line that called it."""
    frames = sys._current_frames()
    for thread in threads:
        frame = frames.get(thread)
        if frame is None or frame.f_code.co_filename != _FILE:
            continue
        group = frame.f_locals.get("group") or dist.group.WORLD
        count = _count(group)
        if count is None:
            continue
        members = tuple(dist.get_process_group_ranks(group))
        call = Collective(_names()[group], members, count)
        return call, f"torch.distributed.{frame.f_code.co_name} of ranks {list(members)}, at {site(frame)}"
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
