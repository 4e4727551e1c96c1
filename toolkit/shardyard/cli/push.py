"""``shardyard push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import ByDigestOption, EngineOption, JsonOption, ProjectOption, document


def register(app: typer.Typer) -> None:
    @app.command("push")
    def push(
        project: ProjectOption = Path("."),
        tag: Annotated[str | None, typer.Option("--tag", help="In place of [registry] tag.")] = None,
        engine: EngineOption = None,
        by_digest: ByDigestOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Pushes the image to ECR, verified by digest; prints its URI."""
        from shardyard.api.push import push as publish

        done = publish(project, tag=tag, engine=engine)
        if as_json:
            document(done.as_dict())
        else:
            print(done.image_uri_by_digest if by_digest else done.image_uri)
