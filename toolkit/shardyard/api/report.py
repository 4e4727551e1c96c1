"""``shardyard.report``."""

from __future__ import annotations

from pathlib import Path

from shardyard.errors import MissingError, ProjectError
from shardyard.local.outputs import DEFAULT, REPORT
from shardyard.report.drawing import drawing
from shardyard.report.page import render
from shardyard.report.recorded import find, load


def report(run_dir: str | Path = DEFAULT, *, output: str | Path | None = None) -> Path:
    """Writes one HTML page about a run whose timeline was recorded, and gives its path: ``report.html`` in the
    run's folder, or ``output``.

    The page has the schedule as it ran, idle share, live microbatches and bytes of each rank, losses and memory.
    """
    run = Path(run_dir).expanduser().absolute()
    place = Path(output).expanduser().absolute() if output else run / REPORT
    if place.is_dir():
        raise ProjectError(f"--output {str(output)!r} is a folder: name a file in it")
    folder = find(run)
    page = render(run, load(folder), drawing(folder), folder / "trace.json")
    try:
        place.write_text(page, encoding="utf-8")
    except OSError as error:
        raise MissingError(
            f"cannot write {str(place)!r}: {error.strerror}. Type: shardyard report --output FILE"
        ) from error
    return place
