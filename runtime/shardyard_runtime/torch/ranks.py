"""Rank, size and group functions, and the object messages of the API."""

from __future__ import annotations

from enum import Enum
from typing import Any

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.state import state


class CommGroup(Enum):
    """Groups that :func:`broadcast`, :func:`allgather` and :func:`barrier` act on."""

    WORLD = "world"
    PP_GROUP = "pp"
    TP_GROUP = "tp"
    RDP_GROUP = "rdp"
    DP_GROUP = "dp"
    MP_GROUP = "mp"


class RankType(Enum):
    """What kind of rank a number is, for :func:`send` and :func:`recv_from`."""

    WORLD_RANK = "world"
    PP_RANK = "pp"
    TP_RANK = "tp"
    RDP_RANK = "rdp"
    DP_RANK = "dp"
    MP_RANK = "mp"


def is_initialized() -> bool:
    """True after ``init``; never raises."""
    return state.initialized


def rank() -> int:
    return state.live.rank


def size() -> int:
    return state.live.placement.size


def local_rank() -> int:
    return state.live.local_rank


def local_size() -> int:
    return state.live.local_size


def _rank_in(kind: Group) -> int:
    return state.live.placement.rank_in(kind, state.live.rank)


def _members(kind: Group) -> list[int]:
    return list(state.live.placement.group(kind, state.live.rank))


def pp_rank() -> int:
    return _rank_in(Group.PP)


def pp_size() -> int:
    return state.live.placement.pp_size


def tp_rank() -> int:
    return _rank_in(Group.TP)


def tp_size() -> int:
    return state.live.placement.tp_size


def rdp_rank() -> int:
    return _rank_in(Group.RDP)


def rdp_size() -> int:
    return state.live.placement.rdp_size


def dp_rank() -> int:
    return _rank_in(Group.DP)


def dp_size() -> int:
    return state.live.placement.tp_size * state.live.placement.rdp_size


def mp_rank() -> int:
    return _rank_in(Group.MP)


def mp_size() -> int:
    return state.live.placement.pp_size * state.live.placement.tp_size


def get_pp_group() -> list[int]:
    """Global ranks of this rank's pipeline group."""
    return _members(Group.PP)


def get_tp_group() -> list[int]:
    return _members(Group.TP)


def get_rdp_group() -> list[int]:
    return _members(Group.RDP)


def get_dp_group() -> list[int]:
    return _members(Group.DP)


def get_mp_group() -> list[int]:
    return _members(Group.MP)


def get_world_process_group() -> Any:
    """A ``torch.distributed`` process group; the others likewise."""
    return state.live.process_groups[Group.WORLD]


def get_pp_process_group() -> Any:
    return state.live.process_groups[Group.PP]


def get_tp_process_group() -> Any:
    return state.live.process_groups[Group.TP]


def get_rdp_process_group() -> Any:
    return state.live.process_groups[Group.RDP]


def get_dp_process_group() -> Any:
    return state.live.process_groups[Group.DP]


def get_mp_process_group() -> Any:
    return state.live.process_groups[Group.MP]


def send(obj: Any, dest_rank: int, rank_type: RankType = RankType.WORLD_RANK) -> None:
    """Sends any picklable object to one rank; returns at once."""
    state.live.objects.send(obj, dest_rank, Group(rank_type.value))


def recv_from(src_rank: int, rank_type: RankType = RankType.WORLD_RANK) -> Any:
    """The next object that this rank was sent by ``send`` or ``broadcast``. Raises CommunicationTimeout."""
    return state.live.objects.recv_from(src_rank, Group(rank_type.value))


def broadcast(obj: Any, group: CommGroup = CommGroup.WORLD) -> None:
    """Sends to all others of the group, which take it with ``recv_from``."""
    state.live.objects.broadcast(obj, Group(group.value))


def allgather(obj: Any, group: CommGroup = CommGroup.WORLD) -> list[Any]:
    """A list in order of the ranks in the group."""
    return state.live.objects.allgather(obj, Group(group.value))


def barrier(group: CommGroup = CommGroup.WORLD) -> None:
    state.live.objects.barrier(Group(group.value))


def dp_barrier() -> None:
    barrier(CommGroup.DP_GROUP)


def mp_barrier() -> None:
    barrier(CommGroup.MP_GROUP)


def pp_barrier() -> None:
    barrier(CommGroup.PP_GROUP)
