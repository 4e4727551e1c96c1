"""``shardyard run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import JsonOption, ProjectOption, document, note
from shardyard.cli.completion import pull_policies, run_engines


def register(app: typer.Typer) -> None:
    @app.command("run")
    def run(
        project: ProjectOption = Path("."),
        hosts: Annotated[int | None, typer.Option("--hosts", min=1)] = None,
        processes_per_host: Annotated[int | None, typer.Option("--processes-per-host", min=1)] = None,
        inputs: Annotated[
            list[str] | None,
            typer.Option(
                "--input", metavar="CHANNEL=PATH", help="A path, or an S3 URI, once for each channel."
            ),
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option("--output", help="For <host>/{model,output,log.txt} and the archives of all hosts."),
        ] = None,
        checkpoints: Annotated[
            Path | None,
            typer.Option("--checkpoints", help="A folder that every host sees, kept from run to run."),
        ] = None,
        engine: Annotated[
            str | None, typer.Option("--engine", help="docker or process.", autocompletion=run_engines)
        ] = None,
        timeout: Annotated[
            float | None, typer.Option("--timeout", help="Seconds; [job] max_run holds as well.")
        ] = None,
        image: Annotated[
            str | None, typer.Option("--image", help="An image in place of the built one.")
        ] = None,
        pull: Annotated[
            str | None,
            typer.Option(
                "--pull",
                help="always, missing or never; by default always, of an image in ECR.",
                autocompletion=pull_policies,
            ),
        ] = None,
        timeline: Annotated[
            bool, typer.Option("--timeline", help="Record what every rank does, for shardyard report.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """The job under the SageMaker contract on this machine; prints its log."""
        from shardyard.api.run import run as start
        from shardyard.local.outputs import summary

        result = start(
            project,
            hosts=hosts,
            processes_per_host=processes_per_host,
            inputs=dict(_channel(text) for text in inputs or ()),
            output=output,
            checkpoints=checkpoints,
            engine=engine,
            timeout=timeout,
            image=image,
            pull=pull,
            timeline=timeline,
            log=sys.stderr if as_json else sys.stdout,
        )
        if result.job_exit_code:
            note(f"shardyard: {summary(result)}")
        else:
            note(f"shardyard: models, outputs and logs of every host: {result.output}")
        if as_json:
            document(result.as_dict())
        else:
            print(f"job_exit_code={result.job_exit_code}")
        raise typer.Exit(1 if result.job_exit_code else 0)


def _channel(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise typer.BadParameter(f"{text!r} is not of the form CHANNEL=PATH")
    return name, path
