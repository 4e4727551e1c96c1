"""Object messages between ranks, as scripts send them: any picklable object, tensors kept as tensors."""

from __future__ import annotations

from typing import Any

from shardyard_runtime.comm.torch_mpi import MpiTransport
from shardyard_runtime.config.placement import Group, Placement

_OBJECT = "an object by smp.recv_from"


class ObjectMessages:
    """``send``, ``recv_from``, ``broadcast``, ``allgather`` and ``barrier`` over the groups of a placement."""

    def __init__(self, transport: MpiTransport, placement: Placement) -> None:
        self._transport = transport
        self._placement = placement

    def _members(self, group: Group) -> tuple[int, ...]:
        return self._placement.group(group, self._transport.rank)

    def send(self, obj: Any, rank: int, group: Group) -> None:
        """Sends to the member of this rank's group whose rank in it is ``rank``; does not wait."""
        self._transport.send(self._peer(rank, group), _OBJECT, obj)

    def recv_from(self, rank: int, group: Group) -> Any:
        """The next object that the member with this rank sent here, by ``send`` or ``broadcast``."""
        return self._transport.receive(self._peer(rank, group), _OBJECT)

    def broadcast(self, obj: Any, group: Group) -> None:
        """Sends to every other member of the group; each takes it with :meth:`recv_from`."""
        for peer in self._members(group):
            if peer != self._transport.rank:
                self._transport.send(peer, _OBJECT, obj)

    def allgather(self, obj: Any, group: Group) -> list[Any]:
        """One object a member, in order of their ranks in the group."""
        members, key = self._members(group), f"smp.allgather over the {group.value} group"
        for peer in members:
            if peer != self._transport.rank:
                self._transport.send(peer, key, obj)
        return [obj if m == self._transport.rank else self._transport.receive(m, key) for m in members]

    def barrier(self, group: Group) -> None:
        """Returns once every member of the group has called it: in to the first member, then out again."""
        leader, *others = self._members(group)
        key = f"smp.barrier over the {group.value} group"
        if self._transport.rank != leader:
            self._transport.send(leader, key, None)
            self._transport.receive(leader, key)
            return
        for peer in others:
            self._transport.receive(peer, key)
        for peer in others:
            self._transport.send(peer, key, None)

    def _peer(self, rank: int, group: Group) -> int:
        members = self._members(group)
        if not 0 <= rank < len(members):
            raise ValueError(
                f"rank {rank} is outside the {group.value} group, whose ranks are 0..{len(members) - 1}"
            )
        return members[rank]
