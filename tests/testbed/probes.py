"""Questions to a service that may not be ready yet."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def listening(address: str, port: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            with socket.create_connection((address, port), timeout=1):
                return True
        except OSError:
            return False

    return ask


def wait(ready: Callable[[], bool], within: float) -> bool:
    give_up = time.monotonic() + within
    while not ready():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True
