"""``shardyard check``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.api.check import check as run_check
from shardyard.cli.common import JsonOption, ProjectOption, document
from shardyard.project.findings import exit_code

OnlineOption = Annotated[
    bool,
    typer.Option("--online", help="Ask AWS, the registries and this machine, too; nothing is changed."),
]


def register(app: typer.Typer) -> None:
    @app.command("check")
    def check(
        project: ProjectOption = Path("."), online: OnlineOption = False, as_json: JsonOption = False
    ) -> None:
        """Validate the project: all findings, not only the first."""
        findings = run_check(project, online=online)
        code = exit_code(findings)
        if as_json:
            document({"ok": code == 0, "findings": [one.as_dict() for one in findings]})
        else:
            print("\n".join(str(one) for one in findings) or "ok: nothing to complain about")
        raise typer.Exit(code)
