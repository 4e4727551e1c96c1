"""``shardyard build``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import EngineOption, JsonOption, NoCacheOption, ProjectOption, document


def register(app: typer.Typer) -> None:
    @app.command("build")
    def build(
        project: ProjectOption = Path("."),
        tag: Annotated[str | None, typer.Option("--tag", help="In place of [registry] tag.")] = None,
        engine: EngineOption = None,
        no_cache: NoCacheOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Builds the image; prints its local tag."""
        from shardyard.api.build import build as make

        image = make(project, tag=tag, engine=engine, no_cache=no_cache)
        if as_json:
            document(asdict(image))
        else:
            print(image.reference)
