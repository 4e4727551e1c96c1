"""Where the time of the recorded steps went, rank by rank: the table at the end of a run, and the same as data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from shardyard_runtime.torch.timeline.recorder import Ran, Step
from shardyard_runtime.torch.timeline.run import Run
from shardyard_runtime.torch.timeline.series import Point

VERSION = 1


@dataclass(frozen=True)
class Share:
    """One rank in the steps of one function: shares of the pipeline's time, bytes a step, microbatches held at once."""

    rank: int
    forward: float
    backward: float
    idle: float
    live: int
    sent: float
    received: float


@dataclass(frozen=True)
class Function:
    """``seconds`` is the median time from the first rank's start to the last one's end in the pipeline."""

    name: str
    steps: int
    recorded: list[int]
    seconds: float
    shares: list[Share]


def summarized(run: Run) -> list[Function]:
    return [_function(run, name, steps) for name in run.functions if (steps := run.steps(name))]


def _function(run: Run, name: str, steps: dict[int, dict[int, Step]]) -> Function:
    windows = sorted(end - begin for begin, end in (run.window(step, 0) for step in steps.values()))
    shares = [_share(run, part.rank, list(steps.values())) for part in run.parts]
    seconds = windows[(len(windows) - 1) // 2] / 1e9
    return Function(name, run.parts[0].series[name].steps, list(steps), seconds, shares)


def _share(run: Run, rank: int, steps: list[dict[int, Step]]) -> Share:
    whole = sum(end - begin for begin, end in (run.window(step, rank) for step in steps))
    spent = [0, 0]
    for task in (task for step in steps for task in step[rank].tasks):
        spent[task.phase > 0] += task.end - task.start
    forward, backward = (one / whole if whole else 0.0 for one in spent)
    sent = sum(one.nbytes for step in steps for one in step[rank].sent)
    received = sum(
        one.nbytes for step in steps for its in step.values() for one in its.sent if one.to == rank
    )
    live = max(live_microbatches(step[rank].tasks) for step in steps)
    return Share(
        rank,
        forward,
        backward,
        max(0.0, 1 - forward - backward),
        live,
        sent / len(steps),
        received / len(steps),
    )


def live_microbatches(tasks: Iterable[Ran]) -> int:
    """The most that were held at once: from the start of a microbatch's first task to the end of its last."""
    held: dict[int, tuple[int, int]] = {}
    for task in tasks:
        start, end = held.get(task.microbatch, (task.start, task.end))
        held[task.microbatch] = (min(start, task.start), max(end, task.end))
    changes = sorted([(start, 1) for start, _ in held.values()] + [(end, -1) for _, end in held.values()])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def text(run: Run, functions: list[Function]) -> str:
    """The table that is printed at the end of the run."""
    lines = []
    for one in functions:
        numbers = (
            f"{one.recorded[0]} to {one.recorded[-1]}" if len(one.recorded) > 1 else str(one.recorded[0])
        )
        lines.append(
            f"{one.name}: {one.steps} steps, of which {numbers} are recorded; {one.seconds * 1e3:.1f} ms in the "
            f"pipeline; {run.settings.microbatches} microbatches"
        )
        lines.append("rank  idle  forward  backward  live microbatches    sent/step  received/step")
        lines += [
            f"{s.rank:>4}  {s.idle:4.0%}  {s.forward:7.0%}  {s.backward:8.0%}  {s.live:>17}  {human(s.sent):>11}"
            f"  {human(s.received):>13}"
            for s in one.shares
        ]
    return "\n".join(lines)


def human(size: float) -> str:
    """Bytes in three digits or so."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"


def document(run: Run, functions: list[Function]) -> dict[str, Any]:
    """What ``shardyard report`` reads."""
    return {
        "version": VERSION,
        "settings": asdict(run.settings),
        "ranks": [
            {
                "rank": part.rank,
                "host": part.host,
                "device": part.device,
                "partition": part.group.index(part.rank),
                "replica": part.replica,
                "clock_error_seconds": run.error[part.rank] / 1e9,
            }
            for part in run.parts
        ],
        "functions": [asdict(one) for one in functions],
        "series": [
            {"function": name, "rank": part.rank, **_columns(series.points)}
            for part in run.parts
            for name, series in part.series.items()
        ],
    }


def _columns(points: list[Point]) -> dict[str, list[Any]]:
    """Values that are no finite number are null, which JSON has; there are none where a step returns no number."""
    columns = {name: [getattr(point, name) for point in points] for name in Point._fields}
    values = columns.pop("value")
    there = any(value is not None for value in values)
    finite = [None if value is None or not math.isfinite(value) else value for value in values]
    return {**columns, "value": finite if there else []}
