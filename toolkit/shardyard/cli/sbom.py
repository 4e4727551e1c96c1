"""``shardyard sbom``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import EngineOption, ProjectOption, TagOption, note


def register(app: typer.Typer) -> None:
    @app.command("sbom")
    def sbom(
        project: ProjectOption = Path("."),
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="A file, in place of standard output.")
        ] = None,
        tag: TagOption = None,
        engine: EngineOption = None,
    ) -> None:
        """The built image's bill of materials: CycloneDX, as JSON."""
        from shardyard.api.sbom import sbom as make

        text = make(project, tag=tag, engine=engine)
        if output is None:
            print(text)
        else:
            output.write_text(text + "\n", encoding="utf-8")
            note(f"wrote {output}")
