"""Which ranks share a folder: on SageMaker each host has its own ``/opt/ml/checkpoints``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.checkpoints.layout import PROBE
from shardyard_runtime.torch.checkpoints.together import together
from shardyard_runtime.torch.state import state


@dataclass(frozen=True)
class Site:
    """What this rank does in the folder that it sees: one rank acts for it, one replica a partition writes."""

    commits: bool
    writes: bool
    committers: frozenset[int]  # of all folders


def survey(folder: Path, token: str) -> Site:
    """Finds out by files that the first rank of every host makes. Collective over the world.

    Raises OSError where the folder cannot be made or written, RuntimeError where ranks of a host see different ones.
    """
    runtime = state.live
    leads = runtime.local_rank == 0
    probe = folder / f".{token}-{runtime.rank}{PROBE}"

    def mark() -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        if leads:
            probe.touch()
        return leads

    leaders = [rank for rank, led in enumerate(together("opening the folder", mark)) if led]

    def look() -> int:
        seen = [rank for rank in leaders if (folder / f".{token}-{rank}{PROBE}").exists()]
        if not seen:
            raise RuntimeError(
                f"{str(folder)!r} is not the folder that rank 0 of this host sees: pass all the same path"
            )
        return seen[0]

    sees = together("looking at the folder", look)
    probe.unlink(missing_ok=True)
    return role(runtime.rank, sees)


def role(rank: int, sees: Sequence[int]) -> Site:
    """The part of ``rank`` when rank ``r`` sees the folder number ``sees[r]``."""
    placement = state.live.placement

    def partition(other: int) -> tuple[int, int]:
        return placement.rank_in(Group.PP, other), placement.rank_in(Group.TP, other)

    here = [other for other, seen in enumerate(sees) if seen == sees[rank]]
    replicas = [other for other in here if partition(other) == partition(rank)]
    committers = frozenset(sees.index(folder) for folder in set(sees))
    return Site(rank in committers, rank == replicas[0], committers)
