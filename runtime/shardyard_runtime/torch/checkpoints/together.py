"""Keeps the ranks of a world in step: a stage of a save is over when every rank has finished it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.pipeline.errors import PeerFailed
from shardyard_runtime.torch.state import state

T = TypeVar("T")
_KEY = "its part of a state dict"


def together(what: str, work: Callable[[], T]) -> list[T]:
    """Does ``work`` here; returns every rank's result, by global rank. Collective over the world.

    When it fails anywhere no rank goes on: the error is raised where it happened, PeerFailed elsewhere.
    """
    result, error = None, None
    try:
        result = work()
    except Exception as caught:
        error = caught
    text = None if error is None else f"{type(error).__name__}: {error}"
    outcomes: list[tuple[Any, str | None]] = state.live.objects.allgather((result, text), Group.WORLD)
    if error is not None:
        raise error
    for rank, (_, failure) in enumerate(outcomes):
        if failure is not None:
            raise PeerFailed(f"rank {rank} failed while {what}: {failure}")
    return [value for value, _ in outcomes]


def regroup(items: Mapping[Any, Any], wanted: Collection[Any]) -> dict[Any, Any]:
    """What this rank wants of the parts that its pipeline group holds. Collective over that group.

    Parts move only when some rank wants what another holds: a partition decided anew owns other modules.
    """
    everyone = state.live.objects.allgather((set(items), set(wanted)), Group.PP)
    held = set().union(*(have for have, _ in everyone))
    if all(want & held <= have for have, want in everyone):
        return {key: items[key] for key in wanted if key in items}
    merged: dict[Any, Any] = {}
    for part in state.live.objects.allgather(dict(items), Group.PP):
        merged.update(part)
    return {key: merged[key] for key in wanted if key in merged}


def gather(part: Mapping[Any, Any], takers: Collection[int]) -> dict[Any, Any]:
    """The parts of the pipeline group, merged, on those of its ranks that take them; nothing elsewhere.

    Collective over that group; ``takers`` are global ranks. No other rank ever holds the whole.
    """
    live = state.live
    members = live.placement.group(Group.PP, live.rank)
    for peer in members:
        if peer in takers and peer != live.rank:
            live.transport.send(peer, _KEY, dict(part))
    merged: dict[Any, Any] = {}
    if live.rank in takers:
        for peer in members:
            merged.update(part if peer == live.rank else live.transport.receive(peer, _KEY))
    return merged
