"""``shardyard plan``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.plan import plan as run_plan
from shardyard.cli.common import JsonOption, ProjectOption, document, note
from shardyard.plan.text import draw

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="pkg.mod:function, which returns the model or (model, one microbatch): which modules go where.",
    ),
]

MicrobatchesOption = Annotated[
    str | None,
    typer.Option(
        "--microbatches",
        metavar="A..B",
        help="With --model: time, idle ranks and memory of a step under each schedule, for so many: 8, 4,6,8 or 1..32.",
    ),
]
RankOption = Annotated[
    int | None, typer.Option("--rank", help="Name the groups of this rank, and mark them.")
]
SvgOption = Annotated[Path | None, typer.Option("--svg", help="Write the drawing to this file, too.")]


def register(app: typer.Typer) -> None:
    @app.command("plan")
    def plan(
        project: ProjectOption = Path("."),
        model: ModelOption = None,
        microbatches: MicrobatchesOption = None,
        rank: RankOption = None,
        svg: SvgOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Draw which rank, host and device holds which partition and replica."""
        found = run_plan(project, model=model, microbatches=microbatches, rank=rank, svg=svg)
        if svg is not None:
            note(f"wrote {svg}")
        if as_json:
            document(found.as_dict())
        else:
            print(draw(found))
