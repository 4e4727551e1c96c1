"""``shardyard plan``"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shardyard.errors import ProjectError
from shardyard.plan.groups import membership
from shardyard.plan.layout import Layout, layout
from shardyard.plan.model import partitions_of
from shardyard.plan.schedules import counts
from shardyard.plan.svg import draw
from shardyard.project.load import load


def plan(
    project: str | Path = ".",
    *,
    model: str | None = None,
    microbatches: str | None = None,
    rank: int | None = None,
    svg: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Layout:
    """Which rank, host and device holds which partition and replica.

    ``model`` names a function of the project's code, "pkg.mod:function", that returns the model, or a pair of it
    and one microbatch of inputs: then also which partition owns which module, and with ``microbatches``, "1..32", what
    a step of as many takes under each schedule: time, idle ranks, memory. ``rank`` chooses a rank whose groups
    are named; ``svg`` is a file for the drawing.
    """
    if microbatches is not None and model is None:
        raise ProjectError(
            f"--microbatches {microbatches!r} needs --model: costs are those of a model's modules"
        )
    numbers = [] if microbatches is None else counts(microbatches)
    loaded = load(project, overrides)
    found = layout(loaded)
    if rank is not None:
        found = replace(found, chosen=membership(found.placement, rank))
    if model is not None:
        found = replace(found, model=partitions_of(loaded, model, found.config, numbers))
    if svg is not None:
        Path(svg).write_text(draw(found), encoding="utf-8")
    return found
