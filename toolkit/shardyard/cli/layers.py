"""``shardyard layers``"""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.cli.common import EngineOption, JsonOption, ProjectOption, TagOption, document

_WIDEST = 100


def register(app: typer.Typer) -> None:
    @app.command("layers")
    def layers(
        project: ProjectOption = Path("."),
        tag: TagOption = None,
        engine: EngineOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """The built image's layers: size, and whose each is. Unpacked sizes; compressed ones with --engine direct."""
        from shardyard.api.layers import layers as find_layers

        found = find_layers(project, tag=tag, engine=engine)
        totals = {one.whose: 0 for one in found}
        for one in found:
            totals[one.whose] += one.size_bytes
        if as_json:
            document({"layers": [one.as_dict() for one in found], "totals": totals})
            return
        for one in found:
            said = " ".join(one.created_by.split()) or "(the base does not say)"
            cut = said if len(said) <= _WIDEST else said[: _WIDEST - 3] + "..."
            print(f"{one.size_bytes:>15,}  {one.whose:<9}  {cut}")
        for whose, size in totals.items():
            print(f"{size:>15,}  {whose:<9}  in all")
