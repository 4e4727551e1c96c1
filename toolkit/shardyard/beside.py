"""Something slow that goes on beside what follows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """Runs `action` in a thread of its own, at once. Nobody waits for it but who asks for its result: a command
    that ends before, with an error of its own, ends there and then."""

    def __init__(self, action: Callable[[], Result]) -> None:
        self._action = action
        self._outcome: Result | BaseException | None = None
        self._failed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._action()
        except BaseException as error:
            self._outcome, self._failed = error, True

    def result(self) -> Result:
        """What `action` gave; raises what it raised."""
        self._thread.join()
        if self._failed:
            raise self._outcome  # type: ignore[misc]
        return self._outcome  # type: ignore[return-value]
