"""``shardyard render``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.render import render as run_render
from shardyard.cli.common import EngineOption, JsonOption, ProjectOption, document, note


def register(app: typer.Typer) -> None:
    @app.command("render")
    def render(
        project: ProjectOption = Path("."),
        diff: Annotated[
            bool, typer.Option("--diff", help="What changed since the image was built, as a unified diff.")
        ] = False,
        engine: EngineOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Print the Dockerfile."""
        text = run_render(project, diff=diff, engine=engine)
        if diff and not text:
            note("no change since the image was built")
        elif diff and text.startswith("--- /dev/null\n"):
            note("nothing was built yet: all of it is new")
        if as_json:
            document({"diff" if diff else "dockerfile": text})
        else:
            print(text, end="")
