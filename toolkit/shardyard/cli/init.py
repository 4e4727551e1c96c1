"""``shardyard init``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.init import init as run_init
from shardyard.cli.common import JsonOption, document, note


def register(app: typer.Typer) -> None:
    @app.command("init")
    def init(
        directory: Annotated[Path, typer.Argument(help="Where; made when it is not there.")] = Path("."),
        as_json: JsonOption = False,
    ) -> None:
        """Scaffold shardyard.toml and a working script."""
        written = run_init(directory)
        if as_json:
            document({"written": [str(path) for path in written]})
        else:
            print("".join(f"{path}\n" for path in written), end="")
        if not written:
            note("everything is there already; nothing was written")
