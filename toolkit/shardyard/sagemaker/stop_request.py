"""Ctrl-C as a request."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """Within its block an interrupt sets ``wanted``, so that no line of a log is lost or told twice.

    A second one interrupts. Threads other than the main one get no interrupts, nor may they catch any.
    """

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self._before = signal.getsignal(signal.SIGINT)
        self._catches = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> threading.Event:
        if self._catches:
            signal.signal(signal.SIGINT, self._take)
        return self.wanted

    def __exit__(self, *ending: object) -> None:
        if self._catches:
            signal.signal(signal.SIGINT, self._before)

    def _take(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._before)
        self.wanted.set()
