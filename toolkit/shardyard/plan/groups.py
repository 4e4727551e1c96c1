"""The groups that one rank is in, and what each of them does together."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard_runtime.config.placement import Group, Placement

# From the smallest circle to the widest, as the library names them.
PURPOSE = {
    Group.PP: ("pipeline", "the partitions of one replica"),
    Group.TP: ("tensor", "the slices of one partition"),
    Group.RDP: ("reduced data", "same parameters, gradients are averaged"),
    Group.DP: ("data", "a different part of the batch each"),
    Group.MP: ("model", "one copy of the model"),
}


@dataclass(frozen=True)
class Membership:
    """One rank and its groups; the position in a group is the rank's rank there."""

    rank: int
    groups: dict[Group, tuple[int, ...]]

    def as_dict(self) -> dict[str, object]:
        return {
            "rank": self.rank,
            **{
                f"{kind.value}_group": {"ranks": list(members), "rank": members.index(self.rank)}
                for kind, members in self.groups.items()
            },
        }

    def kinds_of(self, rank: int) -> list[Group]:
        """The kinds of groups that another rank shares with this one."""
        return [kind for kind, members in self.groups.items() if rank in members and len(members) > 1]


def membership(placement: Placement, rank: int) -> Membership:
    """Raises ProjectError for a rank that the job does not have."""
    if not 0 <= rank < placement.size:
        text = f"{rank} is no rank of {placement.size}"
        finding = Finding("error", "no-rank", "--rank", text, f"use 0 to {placement.size - 1}")
        raise ProjectError("there is no such rank", [finding])
    return Membership(rank, {kind: placement.group(kind, rank) for kind in PURPOSE})
