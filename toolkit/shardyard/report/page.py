"""One HTML page about a run, which needs nothing beside itself."""

from __future__ import annotations

from pathlib import Path

import jinja2

from shardyard.paths import data_dir
from shardyard.report import charts
from shardyard.report.charts import Chart, chart
from shardyard.report.recorded import Recorded


def render(run: Path, recorded: Recorded, drawing: str, trace: Path) -> str:
    """``drawing`` is the schedule as SVG, ``trace`` the file for Perfetto."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates") / "report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {"size": size, "duration": duration}
    return environment.get_template("page.html.j2").render(
        run=run,
        recorded=recorded,
        drawing=drawing,
        trace=trace,
        losses=_losses(recorded),
        times=_times(recorded),
        memory=_memory(recorded),
        peaks=_peaks(recorded),
        of=charts,
    )


def _losses(recorded: Recorded) -> list[Chart]:
    """One a function that returns a number: its mean over the replicas, whose first ranks have it."""
    found = []
    for name in dict.fromkeys(one.function for one in recorded.series if one.value):
        by_step: dict[int, list[float | None]] = {}
        for one in recorded.series:
            if one.function == name and one.value:
                for step, value in zip(one.step, one.value, strict=True):
                    by_step.setdefault(step, []).append(value)
        points = [(step, _mean(values)) for step, values in sorted(by_step.items())]
        broken = [step for step, value in points if value is None]
        note = f"not a finite number at step {', '.join(map(str, broken[:5]))}" if broken else ""
        note += ", …" if len(broken) > 5 else ""
        found.append(chart(f"What {name} returned", {name: points}, "{:.4g}".format, zero=False, note=note))
    return found


def _mean(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None


def _times(recorded: Recorded) -> Chart:
    """Of rank 0: the ranks of a step end together."""
    lines = {
        one.function: list(zip(one.step, one.seconds, strict=True)) for one in recorded.series if not one.rank
    }
    return chart("Seconds a step", lines, duration, zero=True)


def _memory(recorded: Recorded) -> list[Chart]:
    found = []
    for title, column in (("Resident memory", "resident"), ("Memory allocated on the GPU", "allocated")):
        lines: dict[str, list[tuple[int, float | None]]] = {}
        for one in sorted(recorded.series, key=lambda one: one.rank):
            lines.setdefault(f"rank {one.rank}", []).extend(zip(one.step, getattr(one, column), strict=True))
        if any(value for points in lines.values() for _, value in points):
            found.append(
                chart(title, {name: sorted(points) for name, points in lines.items()}, size, zero=True)
            )
    return found


def _peaks(recorded: Recorded) -> dict[int, tuple[int, int]]:
    """Most bytes by rank: resident, and allocated on its GPU."""
    peaks: dict[int, tuple[int, int]] = {}
    for one in recorded.series:
        before = peaks.get(one.rank, (0, 0))
        peaks[one.rank] = (
            max(before[0], *one.resident_peak, 0),
            max(before[1], *one.allocated_peak, 0),
        )
    return peaks


def size(nbytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if abs(nbytes) < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} GB"


def duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
