"""``shardyard plan``"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shardyard.plan.layout import Layout, layout
from shardyard.project.load import load


def plan(project: str | Path = ".", *, overrides: Mapping[str, Any] | None = None) -> Layout:
    """Which rank, host and device holds which partition and replica."""
    return layout(load(project, overrides))
