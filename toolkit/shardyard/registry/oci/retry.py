"""Trying again: what is worth it, how often, and how long to wait in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shardyard.registry.oci.errors import Transient

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """Exponential waits with jitter, unless the registry names its own. `sleep` is a test's to replace."""

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def run(self, action: Callable[[], Result]) -> Result:
        """The first result of `action` that is no Transient error; the last error when patience ends."""
        for attempt in range(1, self.attempts):
            try:
                return action()
            except Transient as error:
                self.sleep(self._wait(attempt) if error.wait_s is None else error.wait_s)
        return action()

    def _wait(self, attempt: int) -> float:
        longest = min(self.first_wait_s * 2 ** (attempt - 1), self.longest_wait_s)
        return longest * random.uniform(0.5, 1)
