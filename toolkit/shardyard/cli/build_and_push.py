"""``shardyard build-and-push``."""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.cli.common import (
    ByDigestOption,
    EngineOption,
    JsonOption,
    NoCacheOption,
    ProjectOption,
    TagOption,
    document,
)


def register(app: typer.Typer) -> None:
    @app.command("build-and-push")
    def build_and_push(
        project: ProjectOption = Path("."),
        tag: TagOption = None,
        engine: EngineOption = None,
        no_cache: NoCacheOption = False,
        by_digest: ByDigestOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Builds the image and pushes it to ECR; prints the image URI, alone."""
        from shardyard.api.build_and_push import build_and_push as ship

        shipped = ship(project, tag=tag, engine=engine, no_cache=no_cache)
        if as_json:
            document(shipped.as_dict())
        else:
            print(shipped.image_uri_by_digest if by_digest else shipped.image_uri)
