"""``shardyard plan``"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shardyard.plan.layout import Layout, layout
from shardyard.plan.model import partitions_of
from shardyard.project.load import load


def plan(
    project: str | Path = ".", *, model: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Layout:
    """Which rank, host and device holds which partition and replica.

    ``model`` names a function of the project's code, "pkg.mod:function", that returns the model, or a pair of it
    and one microbatch of inputs: then also which partition owns which module.
    """
    loaded = load(project, overrides)
    found = layout(loaded)
    return found if model is None else replace(found, model=partitions_of(loaded, model, found.config))
