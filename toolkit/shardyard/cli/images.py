"""``shardyard images``"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated

import typer

from shardyard.api.images import BaseImage
from shardyard.api.images import images as find_images
from shardyard.cli.common import JsonOption, document, note
from shardyard.cli.completion import pythons, regions, versions

_COLUMNS = ("framework", "version", "device", "python", "original", "runtime", "image")


class Framework(str, Enum):
    pytorch = "pytorch"
    tensorflow = "tensorflow"


class Device(str, Enum):
    cpu = "cpu"
    gpu = "gpu"


def register(app: typer.Typer) -> None:
    @app.command("images")
    def images(
        framework: Annotated[Framework | None, typer.Option("--framework", "-f")] = None,
        version: Annotated[
            str | None,
            typer.Option(
                "--version", help="A version, or how it begins: 2, 2.1, 2.1.0.", autocompletion=versions
            ),
        ] = None,
        device: Annotated[Device | None, typer.Option("--device", "-d")] = None,
        python: Annotated[
            str | None, typer.Option("--python", help="3.10 or py310.", autocompletion=pythons)
        ] = None,
        region: Annotated[
            str | None,
            typer.Option(
                "--region", "-r", help="Show whole URIs, as in this region.", autocompletion=regions
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Browse the base images: which carry the original library, and which runtime works in them."""
        found = find_images(
            framework=framework and framework.value,
            version=version,
            device=device and device.value,
            python=python,
            region=region,
        )
        if as_json:
            document({"images": [one.as_dict() for one in found]})
        elif found:
            print(table(found))
        else:
            note("no base image fits; shardyard images lists all of them")


def table(found: Sequence[BaseImage]) -> str:
    """Columns that are as wide as they must be; a reference is never cut, so that it can be copied."""
    rows = [_COLUMNS, *(_row(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(one: BaseImage) -> tuple[str, ...]:
    base = one.base
    runtimes = ", ".join(one.runtimes) or "none"
    return (base.framework, base.version, base.device, base.python, base.smp or "-", runtimes, one.reference)
