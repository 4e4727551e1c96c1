"""The recorded steps as a trace in Chrome's format, which Perfetto opens (https://ui.perfetto.dev).

A rank is a process with three rows: its steps, its tasks, its waits. What carries tensors is an arrow and, in a row of
its own, a bar from its departure to its arrival. The format: "Trace Event Format", Google, 2016.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from shardyard_runtime.torch.timeline.recorder import Ran, Sent, Step
from shardyard_runtime.torch.timeline.run import Part, Run
from shardyard_runtime.torch.timeline.summary import human

_STEPS, _TASKS, _WAITS = 0, 1, 2
_ROWS = {_STEPS: "steps", _TASKS: "tasks", _WAITS: "waits"}
LETTERS = "FBW"  # of phases: forward, backward, and a weight gradient apart from it

Event = dict[str, Any]


def trace(run: Run) -> dict[str, Any]:
    """All ranks in microseconds since the first recorded step began."""
    steps = [(part, step) for part in run.parts for kept in part.kept.values() for step in kept]
    origin = min((step.begin for _, step in steps), default=0)
    arrivals = {(one.source, one.number): (part.rank, one.when) for part, s in steps for one in s.arrived}
    events = [event for part in run.parts for event in _named(part)]
    for part, step in steps:
        events += _bars(part.rank, step, origin)
        for sent in step.sent:
            at = arrivals.get((part.rank, sent.number))
            if sent.nbytes and at is not None:
                events += _transfer(part.rank, sent, *at, origin)
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _named(part: Part) -> Iterator[Event]:
    name = f"rank {part.rank} · {part.host} · {part.device}"
    yield _event("M", "process_name", part.rank, _STEPS, args={"name": name})
    yield _event("M", "process_sort_index", part.rank, _STEPS, args={"sort_index": part.rank})
    for row, words in _ROWS.items():
        yield _event("M", "thread_name", part.rank, row, args={"name": words})
        yield _event("M", "thread_sort_index", part.rank, row, args={"sort_index": row})


def _bars(rank: int, step: Step, origin: int) -> Iterator[Event]:
    def bar(name: str, row: int, start: int, end: int, category: str, **args: Any) -> Event:
        times = {"ts": (start - origin) / 1e3, "dur": (end - start) / 1e3}
        return _event("X", name, rank, row, **times, cat=category, args=args)

    yield bar(f"{step.function} {step.number}", _STEPS, step.begin, step.end, "step")
    yield bar("pipeline", _STEPS, step.opened, step.closed, "step")
    for task in step.tasks:
        yield bar(_name(task), _TASKS, task.start, task.end, LETTERS[task.phase], microbatch=task.microbatch)
    starts = [task.start for task in step.tasks]
    for wait in step.waits:
        after = bisect_left(starts, wait.end)
        waited = _name(step.tasks[after]) if after < len(starts) else "the step's end"
        yield bar("waits", _WAITS, wait.start, wait.end, "wait", until=waited)


def _name(task: Ran) -> str:
    return f"{LETTERS[task.phase]}{task.microbatch} {task.name}".strip()


def _transfer(rank: int, sent: Sent, to: int, arrived: int, origin: int) -> Iterator[Event]:
    left, came = (sent.when - origin) / 1e3, (max(arrived, sent.when) - origin) / 1e3
    name = f"{sent.kind} {human(sent.nbytes)}"
    same = {"cat": "transfer", "id": f"{rank}.{sent.number}"}
    yield _event("s", name, rank, _TASKS, ts=left, **same)
    yield _event("f", name, to, _TASKS, ts=came, **same)
    about = {"from rank": rank, "bytes": sent.nbytes}
    yield _event("b", f"from rank {rank}", to, _TASKS, ts=left, **same, args=about)
    yield _event("e", f"from rank {rank}", to, _TASKS, ts=came, **same)


def _event(phase: str, name: str, rank: int, row: int, **more: Any) -> Event:
    return {"ph": phase, "name": name, "pid": rank, "tid": row, **more}
