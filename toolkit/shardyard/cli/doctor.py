"""``shardyard doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from shardyard.cli.common import JsonOption, document


def register(app: typer.Typer) -> None:
    @app.command("doctor")
    def doctor(
        fix: Annotated[
            bool, typer.Option("--fix", help="Repair what is safe to repair, and say what was done.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """What is missing on this machine and how to get it."""
        from shardyard.api.doctor import doctor as look

        reports = look(fix=fix)
        if as_json:
            document([report.as_dict() for report in reports])
        else:
            for report in reports:
                print(f"{'ok  ' if report.ok else 'MISS'} {report.name}: {report.message}")
                for line in (report.remedy, report.repair and f"--fix: {report.repair}"):
                    if line:
                        print(f"     {line}")
        raise typer.Exit(0 if all(report.ok or not report.needed for report in reports) else 3)
