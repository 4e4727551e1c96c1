"""Whose layers an image consists of: the base's, ours, and what the project put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from shardyard.errors import ProjectError
from shardyard.image.dockerfile import Instruction, parse
from shardyard.image.labels import dockerfile_of

if TYPE_CHECKING:
    from shardyard.engines.base import HistoryLine

Whose = Literal["base", "shardyard", "project"]
# How the instructions of templates/image that put in what is ours begin.
_OURS = ("ADD runtime.tar", 'RUN python3 -c "import mpi4py', "RUN { getent passwd")


@dataclass(frozen=True)
class LayerFacts:
    """One layer; `created_by` is its instruction as the project's Dockerfile has it, the base's as the base says."""

    whose: Whose
    size_bytes: int
    created_by: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def layers_of(history: Sequence[HistoryLine], labels: Mapping[str, str], reference: str) -> list[LayerFacts]:
    """The layers that hold something, base first. Raises ProjectError for an image that shardyard did not make."""
    dockerfile = dockerfile_of(labels)
    steps = own_steps(dockerfile) if dockerfile is not None else []
    lines = list(history)[:-1]  # the last one notes the labels of the build
    under, own = lines[: len(lines) - len(steps)], lines[len(lines) - len(steps) :]
    named = all(
        step.name in line.created_by for step, line in zip(steps, own, strict=False) if step.name != "RUN"
    )
    if not steps or len(own) < len(steps) or not named:
        raise ProjectError(
            f"{reference!r} does not say what it was made from, or was changed since. Type: shardyard build"
        )
    found = [LayerFacts("base", one.size_bytes, one.created_by) for one in under]
    found += [
        LayerFacts(_whose(step), one.size_bytes, str(step)) for step, one in zip(steps, own, strict=True)
    ]
    return [one for one in found if one.size_bytes]


def own_steps(dockerfile: str) -> list[Instruction]:
    """The instructions on top of the base: those of the last stage."""
    steps = list(parse(dockerfile))
    start = max((number for number, step in enumerate(steps, 1) if step.name == "FROM"), default=0)
    return steps[start:]


def _whose(step: Instruction) -> Whose:
    return "shardyard" if str(step).startswith(_OURS) else "project"
