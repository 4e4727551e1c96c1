"""``shardyard sbom``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import EngineOption, JsonOption, ProjectOption, TagOption, note


def register(app: typer.Typer) -> None:
    @app.command("sbom")
    def sbom(
        project: ProjectOption = Path("."),
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Write the CycloneDX document to this file.")
        ] = None,
        tag: TagOption = None,
        engine: EngineOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """The built image's bill of materials: a list; with --json or --output the CycloneDX document."""
        from shardyard.api.sbom import sbom as make

        text = make(project, tag=tag, engine=engine)
        if output is not None:
            output.write_text(text + "\n", encoding="utf-8")
            note(f"wrote {output}")
        if as_json:
            print(text)
        elif output is None:
            for one in json.loads(text)["components"]:
                print(one.get("purl") or f"{one['name']} {one.get('version', '')}".strip())
