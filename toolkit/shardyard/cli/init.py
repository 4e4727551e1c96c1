"""``shardyard init``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.init import init as run_init
from shardyard.cli.common import note


def register(app: typer.Typer) -> None:
    @app.command("init")
    def init(
        directory: Annotated[Path, typer.Argument(help="Where; made when it is not there.")] = Path("."),
    ) -> None:
        """Scaffold shardyard.toml and a working script."""
        written = run_init(directory)
        for path in written:
            print(path)
        if not written:
            note("everything is there already; nothing was written")
