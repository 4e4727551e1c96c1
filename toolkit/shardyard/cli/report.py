"""``shardyard report``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import JsonOption, document


def register(app: typer.Typer) -> None:
    @app.command("report")
    def report(
        run_dir: Annotated[Path, typer.Argument(help="The output folder of shardyard run.")] = Path(
            ".shardyard/run"
        ),
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="The page, in place of RUN_DIR/report.html.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """One HTML page about a run with --timeline: its schedule, idle time, losses, memory. Prints the page's path."""
        from shardyard.api.report import report as write

        page = write(run_dir, output=output)
        if as_json:
            document({"page": str(page)})
        else:
            print(page)
