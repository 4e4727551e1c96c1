"""``shardyard build``."""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.cli.common import EngineOption, JsonOption, NoCacheOption, ProjectOption, TagOption, document


def register(app: typer.Typer) -> None:
    @app.command("build")
    def build(
        project: ProjectOption = Path("."),
        tag: TagOption = None,
        engine: EngineOption = None,
        no_cache: NoCacheOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Builds the image; prints its local tag."""
        from shardyard.api.build import build as make

        image = make(project, tag=tag, engine=engine, no_cache=no_cache)
        if as_json:
            document(image.as_dict())
        else:
            print(image.reference)
