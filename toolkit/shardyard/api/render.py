"""``shardyard render``"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shardyard.image.render import render as rendered
from shardyard.project.load import load


def render(project: str | Path = ".", *, overrides: Mapping[str, Any] | None = None) -> str:
    """The Dockerfile of the project."""
    return rendered(load(project, overrides))
