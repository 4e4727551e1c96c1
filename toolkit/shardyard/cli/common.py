"""What the commands share: the project option, documents on standard output, notes on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from shardyard.cli.completion import build_engines
from shardyard.project.findings import Finding

ProjectOption = Annotated[
    Path,
    typer.Option("--project", "-p", help="The project's folder or its shardyard.toml.", show_default=True),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")
]

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="docker or direct (no daemon); in place of [image] engine.",
        autocompletion=build_engines,
    ),
]
TagOption = Annotated[str | None, typer.Option("--tag", help="In place of [registry] tag.")]
NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Run every step of the Dockerfile, as if for the first time.")
]

ByDigestOption = Annotated[
    bool,
    typer.Option(
        "--by-digest", help="Print the URI with the digest in place of the tag: it never means another image."
    ),
]


def note(text: str) -> None:
    """Progress or a warning, on standard error."""
    print(text, file=sys.stderr, flush=True)


def document(value: Any) -> None:
    """The one JSON document of ``--json``."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        note(str(finding))
