"""The scheduler and the transport of an engine whose timeline is recorded: the same, with a note of each event."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from shardyard_runtime.comm.torch_codec import flatten
from shardyard_runtime.comm.transport import Transport
from shardyard_runtime.torch.pipeline.messages import Ended, Output
from shardyard_runtime.torch.pipeline.scheduler import Scheduler, Task
from shardyard_runtime.torch.releases import size_in_bytes
from shardyard_runtime.torch.timeline.recorder import Recorder, clock


class RecordedScheduler(Scheduler):
    def __init__(self, recorder: Recorder, *args: Any) -> None:
        super().__init__(*args)
        self._recorder = recorder

    def run(self, *args: Any) -> None:
        self._recorder.opened()
        super().run(*args)
        self._recorder.closed()

    def turn(self, task: Task) -> None:
        self._recorder.ran(task.phase, task.microbatch, task.name)
        self._recorder.hands_over()
        super().turn(task)

    def _wait(self, ended: Callable[[], bool]) -> None:
        since = clock()
        super()._wait(ended)
        self._recorder.waited(since)

    def _hand_over(self, task: Task) -> None:
        self._recorder.hands_over()
        super()._hand_over(task)
        self._recorder.ran(task.phase, task.microbatch, task.name)


class RecordedTransport:
    """Each message travels with its number, by which its arrival finds its departure."""

    def __init__(self, inner: Transport, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder
        self.rank = inner.rank
        self.waits = inner.waits

    def send(self, dest: int, key: Any, obj: Any) -> None:
        number = self._recorder.sends(dest, type(obj).__name__, _tensor_bytes(obj))
        self._inner.send(dest, key, (number, obj))

    def handle(
        self, key: Any, handler: Callable[[int, Any], None], broken: Callable[[BaseException], None]
    ) -> None:
        def arrived(source: int, numbered: tuple[int, Any]) -> None:
            number, obj = numbered
            self._recorder.arrived(source, number)
            handler(source, obj)

        self._inner.handle(key, arrived, broken)

    def listening(self) -> contextlib.AbstractContextManager[None]:
        return self._inner.listening()

    def enter_thread(self) -> None:
        self._inner.enter_thread()


def _tensor_bytes(message: Any) -> int:
    """Bytes of the tensors that travel with a message: in its fields, in lists there, or anywhere in a step's results."""
    if isinstance(message, Ended):
        return sum(size_in_bytes(tensor) for tensor in flatten(message.result)[1])
    found = 0
    for value in getattr(message, "__dict__", {}).values():
        for item in value if type(value) is list else (value,):
            tensor = item.tensor if type(item) is Output else item
            if isinstance(tensor, torch.Tensor):
                found += size_in_bytes(tensor)
    return found
