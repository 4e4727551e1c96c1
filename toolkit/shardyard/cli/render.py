"""``shardyard render``"""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.api.render import render as run_render
from shardyard.cli.common import ProjectOption


def register(app: typer.Typer) -> None:
    @app.command("render")
    def render(project: ProjectOption = Path(".")) -> None:
        """Print the Dockerfile."""
        print(run_render(project), end="")
