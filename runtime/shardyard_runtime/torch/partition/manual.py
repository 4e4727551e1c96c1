"""Manual partitioning: ``smp.partition`` around construction, ``smp.set_partition`` on a module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from shardyard_runtime.torch.construction import constructing
from shardyard_runtime.torch.state import state

_MARK = "_shardyard_partition"


def mark(module: nn.Module, partition: int) -> None:
    """Puts a module, and below it what has no mark of its own, into a partition; without effect on ``auto_partition``.

    Raises RuntimeError once the model is partitioned.
    """
    model = state.model
    if model is not None and model.partitioned and any(module is one for one in model.modules()):
        raise RuntimeError(
            "smp.set_partition came after the first step, which has partitioned the model: call it before"
        )
    module.__dict__[_MARK] = _checked(partition)


def _checked(index: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(f"partition must be an integer of at least 0, not {index!r}")
    return index


@contextlib.contextmanager
def partition(index: int) -> Iterator[None]:
    """Modules constructed inside go into partition ``index``; contexts nest, the inner one wins."""
    checked = _checked(index)
    with constructing(lambda module: module.__dict__.setdefault(_MARK, checked)):
        yield


def assign(root: nn.Module, partitions: int, default: int) -> dict[str, int]:
    """Module path to partition from the marks; a module without one is with its parent, the root in ``default``.

    Raises ValueError for a mark that names a partition that does not exist, or for modules that share a
    parameter and are marked apart.
    """
    owner: dict[str, int] = {}
    home: dict[int, str] = {}
    problems: list[str] = []
    for path, module in root.named_modules(remove_duplicate=False):
        parent = path.rpartition(".")[0]
        inherited = owner[parent] if path else default
        owner[path] = module.__dict__.get(_MARK, inherited)
        if owner[path] >= partitions:
            problems.append(f"{path or 'the model'} is set to partition {owner[path]} of {partitions}")
            continue
        for name, parameter in module.named_parameters(recurse=False):
            first = home.setdefault(id(parameter), path)
            if owner[first] != owner[path]:
                problems.append(
                    f"{path}.{name} is shared with {first} but set to partition {owner[path]}, not {owner[first]}"
                )
    if problems:
        raise ValueError("manual partitioning cannot work: " + "; ".join(problems))
    return owner
