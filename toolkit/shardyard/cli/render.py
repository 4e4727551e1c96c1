"""``shardyard render``"""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.api.render import render as run_render
from shardyard.cli.common import JsonOption, ProjectOption, document


def register(app: typer.Typer) -> None:
    @app.command("render")
    def render(project: ProjectOption = Path("."), as_json: JsonOption = False) -> None:
        """Print the Dockerfile."""
        text = run_render(project)
        if as_json:
            document({"dockerfile": text})
        else:
            print(text, end="")
