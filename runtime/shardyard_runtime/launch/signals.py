"""The platform's signals: at first they end the preparations where they stand, later they are events."""

from __future__ import annotations

import queue
import signal
from types import FrameType

from .host import Event

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signalled(BaseException):
    """Not an Exception: code on its way, such as the log's, must not take it for a mishap of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """From its making on. While code is fetched and installed nobody waits for events, so a signal is raised."""

    def __init__(self) -> None:
        self._host = ""
        self._events: queue.SimpleQueue[Event] | None = None
        for number in NUMBERS:
            signal.signal(number, self._receive)

    def become_events(self, host: str, events: queue.SimpleQueue[Event]) -> None:
        self._host, self._events = host, events

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self._events is None:
            raise Signalled(number)
        self._events.put(("signal", self._host, number))
