"""``shardyard check``"""

from __future__ import annotations

from pathlib import Path

import typer

from shardyard.api.check import check as run_check
from shardyard.cli.common import JsonOption, ProjectOption, document
from shardyard.project.findings import has_errors


def register(app: typer.Typer) -> None:
    @app.command()
    def check(project: ProjectOption = Path("."), as_json: JsonOption = False) -> None:
        """Validate the project: all findings, not only the first."""
        findings = run_check(project)
        if as_json:
            document({"ok": not has_errors(findings), "findings": [one.as_dict() for one in findings]})
        else:
            print("\n".join(str(one) for one in findings) or "ok: nothing to complain about")
        if has_errors(findings):
            raise typer.Exit(2)
