"""What the threads of this rank wait for, so that a deadlock can be told from slow work."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wait:
    """One thread that can go on only when one of the ranks ``on`` sends something.

    ``unmet`` is False from the moment on that what it waits for has come, even if the thread has not noticed yet.
    """

    serial: int
    thread: int
    on: tuple[int, ...]
    what: Callable[[], Sequence[str]]
    unmet: Callable[[], bool]


class Waits:
    """The open waits of this rank.

    Of the *working* threads (the script's own and those that run tasks) one runs at a time: when one of them waits
    here, the rank does. Other threads that were seen sending or receiving must wait too.
    """

    def __init__(self) -> None:
        self._open: dict[int, Wait] = {}
        self._serials = itertools.count()
        self._working = {threading.get_ident()}
        self._others: set[threading.Thread] = set()

    def work_here(self) -> None:
        """Makes the calling thread one of the working threads."""
        self._working.add(threading.get_ident())

    def seen(self) -> None:
        """Called by every thread that sends or receives."""
        if threading.get_ident() not in self._working:
            self._others.add(threading.current_thread())

    @contextlib.contextmanager
    def waiting(
        self, on: tuple[int, ...], what: Callable[[], Sequence[str]], unmet: Callable[[], bool]
    ) -> Iterator[None]:
        wait = Wait(next(self._serials), threading.get_ident(), on, what, unmet)
        self._open[wait.serial] = wait
        try:
            yield
        finally:
            del self._open[wait.serial]

    @property
    def any(self) -> bool:
        """Whether a thread of this rank waits."""
        return bool(self._open)

    @property
    def working(self) -> set[int]:
        """Identities of the threads of which one runs at a time."""
        return set(self._working)

    def of_rank(self) -> Wait | None:
        """The wait that this whole rank is in; None while one of its threads may go on by itself."""
        waits = {wait.thread: wait for wait in list(self._open.values()) if wait.unmet()}
        if not self.others_wait(waits):
            return None
        return next((wait for thread, wait in waits.items() if thread in self._working), None)

    def others_wait(self, waits: dict[int, Wait] | None = None) -> bool:
        """Whether every other thread that uses the transport waits, or has ended."""
        if waits is None:
            waits = {wait.thread: wait for wait in list(self._open.values()) if wait.unmet()}
        self._others = {thread for thread in self._others if thread.is_alive()}
        return all(thread.ident in waits for thread in self._others)
