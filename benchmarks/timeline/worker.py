"""One of two ranks: layers that sleep in place of computing, a step that is recorded and one that is not, alternately.

It is one engine, whose recording parts are exchanged for the plain ones between steps, when nothing is on its way.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from benchmarks.pairs import ratio
from shardyard_runtime.torch.pipeline.recorded import RecordedScheduler, RecordedTransport
from shardyard_runtime.torch.pipeline.scheduler import Scheduler
from shardyard_runtime.torch.timeline.recorder import Recorder

TASK, MICROBATCHES, PAIRS, WARM, EVENTS = 0.02, 4, 120, 5, 20_000


class _Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        time.sleep(TASK)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        time.sleep(TASK)
        return gradient


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Sleep.apply(self.linear(x))


class Switch:
    """Records, or does not, from now on; every rank calls it."""

    def __init__(self) -> None:
        self.runtime = smp.state.runtime
        self.timeline = self.runtime.timeline
        self.engine, self.transport = self.runtime.engine, self.runtime.transport
        self.recorded = self.engine._transport
        self.handler = self.transport._handlers["engine"]
        assert isinstance(self.recorded, RecordedTransport)
        assert isinstance(self.engine._scheduler, RecordedScheduler)

    def __call__(self, on: bool) -> None:
        smp.barrier()
        self.engine._scheduler.__class__ = RecordedScheduler if on else Scheduler
        self.engine._transport = self.recorded if on else self.transport
        self.transport._handlers["engine"] = self.handler if on else self.engine._on_message
        self.runtime.timeline = self.timeline if on else None
        smp.barrier()


def microseconds_an_event() -> float:
    recorder = Recorder(1, torch.device("cpu"), leads=True)
    begin = time.perf_counter()
    for _ in range(EVENTS):
        recorder.hands_over()
        recorder.ran(0, 0, "layer")
    return (time.perf_counter() - begin) / EVENTS * 1e6


def main() -> None:
    os.environ["SHARDYARD_TIMELINE"] = "10"
    os.environ["SM_OUTPUT_DATA_DIR"] = tempfile.mkdtemp()
    manual = {"auto_partition": False, "default_partition": 0}
    smp.init({"partitions": 2, "microbatches": MICROBATCHES, "active_microbatches": 2, **manual})
    net = nn.Sequential(Layer(), Layer())
    smp.set_partition(net[1], 1)
    model = smp.DistributedModel(net)

    @smp.step
    def train(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        loss = model(x).square().mean()
        model.backward(loss)
        return loss

    x, switch = torch.randn(4 * MICROBATCHES, 64), Switch()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(WARM + PAIRS):
        for on in (True, False) if turn % 2 else (False, True):
            switch(on)
            begin = time.perf_counter()
            train(model, x)
            if turn >= WARM:
                seconds[on].append(time.perf_counter() - begin)
    switch(True)
    step = switch.timeline.recorder.kept["train"][-1]
    if smp.rank() == 0:
        found = ratio(seconds[True], seconds[False])
        document = {
            "cost": round(found.median - 1, 5),
            "interval": [round(found.low - 1, 5), round(found.high - 1, 5)],
            "step_seconds": round(sorted(seconds[False])[PAIRS // 2], 4),
            "events_a_step": len(step.tasks) + len(step.waits) + len(step.sent) + len(step.arrived),
            "microseconds_an_event": round(microseconds_an_event(), 2),
        }
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
