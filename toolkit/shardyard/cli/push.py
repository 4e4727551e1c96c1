"""``shardyard push``."""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.cli.common import (
    ByDigestOption,
    EngineOption,
    JsonOption,
    ProjectOption,
    TagOption,
    document,
)


def register(app: typer.Typer) -> None:
    @app.command("push")
    def push(
        project: ProjectOption = Path("."),
        tag: TagOption = None,
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
