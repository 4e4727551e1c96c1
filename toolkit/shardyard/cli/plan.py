"""``shardyard plan``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.plan import plan as run_plan
from shardyard.cli.common import JsonOption, ProjectOption, document
from shardyard.plan.layout import draw

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="pkg.mod:function, which returns the model or (model, one microbatch): which modules go where.",
    ),
]


def register(app: typer.Typer) -> None:
    @app.command()
    def plan(
        project: ProjectOption = Path("."), model: ModelOption = None, as_json: JsonOption = False
    ) -> None:
        """Draw which rank, host and device holds which partition and replica."""
        found = run_plan(project, model=model)
        if as_json:
            document(found.as_dict())
        else:
            print(draw(found))
