"""``shardyard plan``"""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.api.plan import plan as run_plan
from shardyard.cli.common import JsonOption, ProjectOption, document
from shardyard.plan.layout import draw


def register(app: typer.Typer) -> None:
    @app.command()
    def plan(project: ProjectOption = Path("."), as_json: JsonOption = False) -> None:
        """Draw which rank, host and device holds which partition and replica."""
        found = run_plan(project)
        if as_json:
            document(found.as_dict())
        else:
            print(draw(found))
