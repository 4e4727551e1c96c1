"""The decision which partition owns which module: shown as a table, stored in a file, loaded from it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from shardyard_runtime.torch.partition.auto import Assignment
from shardyard_runtime.torch.pipeline.schedule.workload import RankCost

_FORMAT = "shardyard-partition-1"


@dataclass(frozen=True)
class Share:
    """One partition: its modules and parameters, its cost as weighed and its time as shares of the model's.

    ``state_bytes``: of parameters, gradients and the optimizer. ``activation_bytes``: of one microbatch.
    """

    modules: int
    parameters: int
    cost: float
    time: float = 0.0
    state_bytes: int = 0
    activation_bytes: int = 0


@dataclass(frozen=True)
class Decision:
    """``owner`` names the partition of every path of the module tree; ``by`` says how it came about."""

    owner: dict[str, int]
    shares: list[Share]
    by: str

    @property
    def partitions(self) -> int:
        return len(self.shares)

    def rank_costs(self, device_bytes: float) -> list[RankCost]:
        """What each partition does and holds on a device with so much memory; an older file does not tell the times."""
        timed = any(share.time for share in self.shares)
        return [
            RankCost(share.time if timed else 1.0, share.activation_bytes, device_bytes - share.state_bytes)
            for share in self.shares
        ]

    def table(self) -> str:
        """One line a partition. ``cost`` is its share of memory and time as weighed, ``share`` of parameters."""
        total = max(1, sum(share.parameters for share in self.shares))
        lines = [
            f"{p:>9} {s.modules:>8} {s.parameters:>15,} {s.cost:>6.1%} {s.parameters / total:>6.1%}"
            for p, s in enumerate(self.shares)
        ]
        head = f"{'partition':>9} {'modules':>8} {'parameters':>15} {'cost':>6} {'share':>6}"
        return "\n".join([f"partitioned by {self.by}", head, *lines])

    def save(self, file: str | Path) -> None:
        """Writes it as JSON, whole or not at all."""
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")
        partial.replace(target)


def decided(root: nn.Module, partitions: int, found: Assignment, by: str) -> Decision:
    """The decision with what it puts on each partition; a parameter counts once, where it is first held."""
    modules, parameters = [0] * partitions, [0] * partitions
    seen: set[int] = set()
    for path, module in root.named_modules():
        modules[found.owner[path]] += 1
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                parameters[found.owner[path]] += parameter.numel()
    time = sum(cost.time for cost in found.costs) or 1.0
    rows = zip(modules, parameters, found.load, found.costs, strict=True)
    shares = [
        Share(number, held, load, cost.time / time, cost.state_bytes, cost.activation_bytes)
        for number, held, load, cost in rows
    ]
    return Decision(found.owner, shares, by)


def load(file: str | Path, root: nn.Module, partitions: int) -> Decision:
    """A stored decision, checked against this model. Raises ValueError where it does not fit, OSError as open does."""
    try:
        stored = json.loads(Path(file).read_text(encoding="utf-8"))
        if stored["format"] != _FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, not {_FORMAT!r}")
        owner: dict[str, int] = stored["owner"]
        shares = [Share(**row) for row in stored["shares"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"partition_file {str(file)!r} is no stored partition: {type(error).__name__}: {error}"
        ) from error
    if len(shares) != partitions:
        raise ValueError(
            f"partition_file {str(file)!r} holds {len(shares)} partitions, this job has {partitions}: "
            "store it anew by leaving load_partition out"
        )
    _check(str(file), owner, partitions, root)
    return Decision(owner, shares, f"file {file}")


def _check(file: str, owner: Mapping[str, Any], partitions: int, root: nn.Module) -> None:
    modules = dict(root.named_modules(remove_duplicate=False))
    for path in modules:
        if path not in owner:
            near = get_close_matches(path, owner, n=1)
            hint = f"; nearest is {near[0]!r}" if near else ""
            raise ValueError(f"partition_file {file!r} has no module {path!r} of this model{hint}")
    for path, partition in owner.items():
        if path not in modules:
            raise ValueError(f"partition_file {file!r} names module {path!r}, which this model does not have")
        if not isinstance(partition, int) or not 0 <= partition < partitions:
            raise ValueError(
                f"partition_file {file!r} puts {path!r} on {partition!r}: 0 to {partitions - 1} exist"
            )
    home: dict[int, str] = {}
    for path, module in modules.items():
        for held in (module, *module.parameters(recurse=False)):
            first = home.setdefault(id(held), path)
            if owner[first] != owner[path]:
                raise ValueError(
                    f"partition_file {file!r} separates {first!r} and {path!r}, which share a parameter"
                )
