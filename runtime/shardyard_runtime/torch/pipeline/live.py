"""Which microbatches a rank works on at once, and what waits until one of them is over."""

from __future__ import annotations

from typing import Any


class Live:
    """At most ``most`` microbatches; ``peak`` is the most there were.

    The leader ends one before it starts the next. But what a third rank sends of the next may be here before the leader's
    word on the one that is over: that waits. The word is under way by then, so nothing waits for ever.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: set[int] = set()
        self._waiting: dict[int, list[tuple[int, Any]]] = {}
        self.peak = 0

    def __len__(self) -> int:
        return len(self._now)

    @property
    def full(self) -> bool:
        return len(self._now) >= self._most

    def enter(self, microbatch: int) -> bool:
        """Whether the microbatch may be worked on, from now on."""
        if microbatch not in self._now:
            if self.full:
                return False
            self._now.add(microbatch)
            self.peak = max(self.peak, len(self._now))
        return True

    def hold(self, microbatch: int, source: int, message: Any) -> None:
        """Keeps a message of a microbatch that may not enter yet."""
        self._waiting.setdefault(microbatch, []).append((source, message))

    def leave(self, microbatch: int) -> list[tuple[int, Any]]:
        """Ends a microbatch; returns the messages that waited, of those that enter now, in the order of arrival."""
        self._now.discard(microbatch)
        entering = [waiting for waiting in self._waiting if self.enter(waiting)]
        return [held for waiting in entering for held in self._waiting.pop(waiting)]

    def clear(self) -> None:
        self._now.clear()
        self._waiting.clear()
