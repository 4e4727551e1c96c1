"""The timeline of a run: begun by ``smp.init`` where it is asked for, gathered and written by rank 0 at the end."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from shardyard_runtime.comm.torch_mpi import MpiTransport
from shardyard_runtime.comm.torch_objects import ObjectMessages
from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.timeline import summary, svg
from shardyard_runtime.torch.timeline.chrome import LETTERS, trace
from shardyard_runtime.torch.timeline.clocks import Clocks, Reading
from shardyard_runtime.torch.timeline.recorder import Recorder, Step, clock
from shardyard_runtime.torch.timeline.run import Part, Run, Settings
from shardyard_runtime.torch.timeline.switch import folder

_KEY = "what it recorded for the timeline"


class Timeline:
    """Of one rank. ``group`` are the ranks of its pipeline group; every rank of the world makes one."""

    def __init__(
        self,
        transport: MpiTransport,
        group: Sequence[int],
        replica: int,
        device: torch.device,
        keep: int,
        settings: Settings,
    ) -> None:
        self._transport = transport
        self._group = tuple(group)
        self._replica = replica
        self._device = device
        self._settings = settings
        self._folder = folder() if transport.rank == 0 else Path()
        self.recorder = Recorder(keep, device, leads=transport.rank == self._group[0])
        self._clocks = Clocks(transport, clock)
        self._readings: list[Reading] = []

    def begin(self, objects: ObjectMessages) -> None:
        """Reads the clock once every rank can answer; in a barrier a rank takes messages in at once."""
        objects.barrier(Group.WORLD)
        self._readings.append(self._clocks.read())
        objects.barrier(Group.WORLD)

    def finish(self) -> None:
        """When the script has ended: sends to rank 0, which writes the files and prints the summary."""
        if getattr(sys, "last_value", None) is not None:
            return  # the script failed, and so will the others: nobody is to wait
        try:
            self._readings.append(self._clocks.read())
            if self._transport.rank != 0:
                self._transport.send(0, _KEY, self._part())
                return
            others = range(1, self._transport.size)
            parts = [self._part(), *(self._transport.receive(rank, _KEY) for rank in others)]
            self._write(Run(parts, self._settings))
        except Exception as error:  # the training is done: a picture of it is not worth a failed job
            sys.stderr.write(f"timeline: not written: {type(error).__name__}: {error}\n")

    def _part(self) -> Part:
        recorder = self.recorder
        for series in recorder.series.values():
            series.points = [
                point._replace(value=None if point.value is None else float(point.value))
                for point in series.points
            ]
        return Part(
            self._transport.rank,
            os.environ.get("SM_CURRENT_HOST") or socket.gethostname(),
            str(self._device),
            self._group,
            self._replica,
            self._readings,
            {name: list(steps) for name, steps in recorder.kept.items()},
            recorder.series,
        )

    def _write(self, run: Run) -> None:
        functions = summary.summarized(run)
        drawing = picture(run, functions)
        (self._folder / "trace.json").write_text(
            json.dumps(trace(run), separators=(",", ":")), encoding="utf-8"
        )
        if drawing:
            (self._folder / "schedule.svg").write_text(drawing, encoding="utf-8")
        (self._folder / "timeline.json").write_text(
            json.dumps(summary.document(run, functions)), encoding="utf-8"
        )
        said = summary.text(run, functions) or "no step that every rank has was recorded"
        sys.stderr.write(f"timeline: {said}\ntimeline: written to {self._folder}\n")
        sys.stderr.flush()


def picture(run: Run, functions: Sequence[summary.Function]) -> str:
    """The drawing of a typical step of the first function; "" where no step was recorded."""
    step = run.typical(functions[0].name) if functions else None
    if step is None:
        return ""
    origin = min(one.opened for one in step.values())
    bars = [
        svg.Bar(
            rank, LETTERS[t.phase], t.microbatch, (t.start - origin) / 1e9, (t.end - origin) / 1e9, t.name
        )
        for rank, one in step.items()
        for t in one.tasks
    ]
    came = {(a.source, a.number): a.when for one in step.values() for a in one.arrived}
    arrows = [
        svg.Arrow(rank, s.to, (s.when - origin) / 1e9, (came[rank, s.number] - origin) / 1e9)
        for rank, one in step.items()
        for s in one.sent
        if s.nbytes and (rank, s.number) in came
    ]
    number, function = next(iter(step.values())).number, functions[0]
    title = (
        f"{function.name}, step {number}: {run.settings.pipeline}, {run.settings.microbatches} microbatches"
    )
    idle = {share.rank: share.idle for share in function.shares}
    return svg.draw(title, bars, idle, arrows, list(planned(run, step)))


def planned(run: Run, step: dict[int, Step]) -> Iterator[svg.Bar]:
    """The plans that a step began with, one of each pipeline group's leader; none where it had none.

    A plan knows no seconds: it is stretched so that its tasks take as long together as those that ran.
    """
    for leader, one in step.items():
        group = run.parts[leader].group
        took = sum(ran.end - ran.start for member in group for ran in step[member].tasks) / 1e9
        scale = took / (sum(end - start for *_, start, end in one.plan) or 1.0)
        for partition, kind, microbatch, start, end in one.plan:
            yield svg.Bar(group[partition], kind, microbatch, start * scale, end * scale)
