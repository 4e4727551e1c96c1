"""``shardyard estimator``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import JsonOption, ProjectOption, document
from shardyard.cli.completion import sdks


def register(app: typer.Typer) -> None:
    @app.command("estimator")
    def estimator(
        project: ProjectOption = Path("."),
        sdk: Annotated[str, typer.Option("--sdk", help="v2, v3 or boto3.", autocompletion=sdks)] = "v2",
        image: Annotated[
            str | None, typer.Option("--image", help="An image URI in place of [registry].")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Ready-to-run hand-off code, or its keyword arguments."""
        from shardyard.api.estimator import estimator as hand_off

        made = hand_off(project, sdk=sdk, image=image)
        if as_json:
            document(made.arguments)
        else:
            print(made.code, end="")
