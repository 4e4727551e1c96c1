"""``shardyard launch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shardyard.cli.common import JsonOption, ProjectOption, document, note

if TYPE_CHECKING:
    from shardyard.api.launch import Launched


def register(app: typer.Typer) -> None:
    @app.command("launch")
    def launch(
        project: ProjectOption = Path("."),
        wait: Annotated[bool, typer.Option("--wait", help="Follow the job's log to its end.")] = False,
        stop_on_interrupt: Annotated[
            bool, typer.Option("--stop-on-interrupt", help="With --wait: Ctrl-C stops the job, too.")
        ] = False,
        image: Annotated[
            str | None, typer.Option("--image", help="An image URI in place of [registry].")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Submits the training job to SageMaker; prints its name, then its log."""
        from shardyard.api.launch import launch as start

        submitted: list[Launched] = []

        def started(job: Launched) -> None:
            submitted.append(job)
            note(f"shardyard: submitted with {job.image_uri}")
            if not as_json:
                print(job.job_name, flush=True)

        try:
            done = start(
                project,
                image=image,
                wait=wait,
                stop_on_interrupt=stop_on_interrupt,
                log=sys.stderr if as_json else sys.stdout,
                started=started,
            )
        except KeyboardInterrupt:
            for job in submitted:
                note(f"shardyard: {job.job_name} goes on; to stop it, type: {job.stop_command}")
            raise
        if as_json:
            document(done.as_dict())
        elif done.model_uri and done.status != "Failed":
            print(f"model_uri={done.model_uri}")
        if done.status not in (None, "Completed"):
            note(f"shardyard: the job {done.job_name} {_ended(done)}")
            raise typer.Exit(1)


def _ended(done: Launched) -> str:
    reason = done.reason or "SageMaker gives no reason; the log is above"
    return f"{str(done.status).lower()}: {reason}"
