"""Which keys the project file knows, and where one belongs that stands in the wrong place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import get_args

from shardyard.project.findings import nearest
from shardyard.project.model import Project
from shardyard.project.typed import Section, keys
from shardyard_runtime.config.parameter_values import known as parameters

_PARAMETERS = "distribution.smdistributed.modelparallel.parameters"
_OTHER_STRATEGIES = {
    "torch_distributed": "it starts torchrun, and this project's ranks are started by MPI: remove it",
    "pytorchddp": 'remove it; "ddp = true" among the parameters averages over replicas',
    "pytorchxla": "remove it; model parallelism does not go through XLA",
    "parameter_server": "remove it; replicas are averaged without a server",
    "multi_worker_mirrored_strategy": "remove it; replicas are averaged by the runtime",
}


def where_it_belongs(parts: list[str]) -> str:
    """What to do about an unknown key at this path: the nearest name here, or the section that knows it."""
    name, here = parts[-1], _known_at(parts[:-1])
    if parts[:-1] == ["distribution"] and name in _OTHER_STRATEGIES:
        return _OTHER_STRATEGIES[name]
    homes = [".".join(path) for path, known in _sections() if name in known and path]
    if name in parameters():
        homes.append(_PARAMETERS)
    if homes:
        return "it belongs in " + " or ".join(f"[{home}]" for home in homes)
    guess = nearest(name, here)
    return f"did you mean {guess!r}?" if guess else "known here: " + ", ".join(sorted(here))


def _known_at(path: list[str]) -> list[str]:
    """The keys that the section at this path knows."""
    return next((known for one, known in _sections() if one == path), [])


@cache
def _sections() -> list[tuple[list[str], list[str]]]:
    """Every section and its keys; the project itself first, under an empty path."""
    return list(_walk([], Project))


def _walk(path: list[str], kind: type[Section]) -> Iterator[tuple[list[str], list[str]]]:
    known = {name: hint for name, hint in keys(kind).items() if (path or name != "root")}
    yield path, list(known)
    for name, hint in known.items():
        for option in (hint, *get_args(hint)):
            if isinstance(option, type) and issubclass(option, Section):
                yield from _walk([*path, name], option)
