"""Where a global rank stands: pipeline, tensor and reduced-data coordinates, and the groups they form.

``pp * tp * rdp = size``, ``dp = tp * rdp``, ``mp = pp * tp``. A placement strategy is a permutation of the
letters D (reduced data), P (pipeline) and T (tensor); the right-most letter varies fastest over the global
ranks. ``cluster`` is DPT and ``spread`` is TPD. Source: the ranking mechanism page of the SageMaker developer
guide. Pure Python: the toolkit draws with what the runtime runs with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ALIASES = {"cluster": "DPT", "spread": "TPD"}


class Group(str, Enum):
    """The kinds of groups; a member's index in its group is its rank of that kind."""

    WORLD = "world"
    PP = "pp"
    TP = "tp"
    RDP = "rdp"
    DP = "dp"
    MP = "mp"


# The letters along which the members of a group differ.
_VARIES = {Group.WORLD: "DPT", Group.PP: "P", Group.TP: "T", Group.RDP: "D", Group.DP: "DT", Group.MP: "PT"}


@dataclass(frozen=True)
class Placement:
    """Degrees of parallelism laid over ``size`` global ranks.

    Raises ValueError where a degree is below 1 or the strategy is no permutation of D, P, T.
    """

    pp_size: int
    tp_size: int
    rdp_size: int
    strategy: str = "cluster"

    def __post_init__(self) -> None:
        if min(self.pp_size, self.tp_size, self.rdp_size) < 1:
            raise ValueError(
                f"degrees must be at least 1 (pipeline: {self.pp_size}, tensor: {self.tp_size}, "
                f"reduced data: {self.rdp_size})"
            )
        if sorted(self.order) != ["D", "P", "T"]:
            raise ValueError(
                f"placement_strategy {self.strategy!r} is neither 'cluster', 'spread' "
                "nor a permutation of 'DPT'"
            )

    @property
    def order(self) -> str:
        return ALIASES.get(self.strategy, self.strategy)

    @property
    def size(self) -> int:
        return self.pp_size * self.tp_size * self.rdp_size

    def _extent(self, letter: str) -> int:
        return {"D": self.rdp_size, "P": self.pp_size, "T": self.tp_size}[letter]

    def coordinates(self, rank: int) -> dict[str, int]:
        """Letter to coordinate of a global rank: ``{"D": 1, "P": 0, "T": 0}``."""
        if not 0 <= rank < self.size:
            raise ValueError(f"rank {rank} is outside 0..{self.size - 1}")
        found: dict[str, int] = {}
        for letter in reversed(self.order):
            rank, found[letter] = divmod(rank, self._extent(letter))
        return found

    def group(self, kind: Group, rank: int) -> tuple[int, ...]:
        """The global ranks of the group of this kind that ``rank`` is in, ordered by their rank inside it."""
        mine = self.coordinates(rank)
        fixed = [letter for letter in "DPT" if letter not in _VARIES[kind]]
        return tuple(r for r in range(self.size) if all(self.coordinates(r)[f] == mine[f] for f in fixed))

    def groups(self, kind: Group) -> list[tuple[int, ...]]:
        """Every group of this kind, ordered by its first member."""
        return sorted({self.group(kind, r) for r in range(self.size)})

    def rank_in(self, kind: Group, rank: int) -> int:
        """The position of a global rank in its group of this kind."""
        return self.group(kind, rank).index(rank)
