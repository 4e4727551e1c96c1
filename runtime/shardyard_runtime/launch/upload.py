"""Keeps a folder's files copied elsewhere: while they are written, and to the last one at the end.

It looks instead of being told of events: none is lost, a file that is renamed into its place counts, and what
changed during its copy is copied again.
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .host import Event
from .timeouts import stop_grace, upload_timeout

log = logging.getLogger(__name__)

Upload = Callable[
    [Path, str, Callable[[int], object]], None
]  # file, name below the folder, hears of progress
State = tuple[int, int, int]
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # a file at rest for so long counts as written
RETRY_SECONDS = 10.0
LAST_ATTEMPTS = 3


class Sync(threading.Thread):
    def __init__(self, folder: Path, upload: Upload, look: float = LOOK_SECONDS) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._upload = upload
        self._look = look
        self._sent: dict[str, State] = {}
        self._failed: dict[str, tuple[float, str]] = {}  # when it is tried again, and why it has to be
        self._took = 0.0  # to look at every file
        self._ending = threading.Event()
        self._moved_at = time.monotonic()
        self._done: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def finish(self, events: queue.SimpleQueue[Event]) -> list[str]:
        """The names of files that could not be copied. A signal shortens the wait, a second one ends it."""
        self._done = events
        self._moved_at = time.monotonic()
        self._ending.set()
        give_up, signals = float("inf"), 0
        while self.is_alive() and signals < 2:
            left = min(self._moved_at + upload_timeout(), give_up) - time.monotonic()
            if left <= 0:
                break
            try:
                kind = events.get(timeout=left)[0]
            except queue.Empty:
                continue
            if kind == "signal":
                signals += 1
                give_up = time.monotonic() + stop_grace()
            elif kind == "uploaded":
                self.join()
        missing = sorted(name for name, state in self._files() if self._sent.get(name) != state)
        if missing:
            why = next(
                (self._failed[name][1] for name in missing if name in self._failed), "no answer in time"
            )
            listed = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
            log.error("%d file(s) of %s are not in S3: %s (%s)", len(missing), self._folder, listed, why)
        return missing

    def run(self) -> None:
        try:
            while not self._ending.wait(max(self._look, 10 * self._took)):  # at most a tenth of the time
                self._pass(settled_only=True)
            for _ in range(LAST_ATTEMPTS):
                if self._pass(settled_only=False):
                    break
        finally:
            self._done.put(("uploaded", "", None))

    def _pass(self, *, settled_only: bool) -> bool:
        """True when nothing is left to be copied."""
        complete = True
        began = time.monotonic()
        found = list(self._files())
        self._took = time.monotonic() - began
        for name, state in found:
            if self._sent.get(name) == state:
                continue
            if settled_only and not self._ending.is_set() and not self._is_due(name, state):
                continue
            complete &= self._copy(name, state)
        return complete

    def _is_due(self, name: str, state: State) -> bool:
        at_rest = time.time() - state[0] / 1e9 >= SETTLE_SECONDS
        return at_rest and time.monotonic() >= self._failed.get(name, (0.0, ""))[0]

    def _copy(self, name: str, state: State) -> bool:
        path = self._folder / name
        try:
            self._upload(path, name, self._on_progress)
        except Exception as error:  # of many kinds, made at run time; none may end the thread
            if not path.exists():  # taken away meanwhile
                return True
            if name not in self._failed:
                log.warning("%s could not be copied to S3, and is tried again: %s", path, error)
            self._failed[name] = (time.monotonic() + RETRY_SECONDS, f"{type(error).__name__}: {error}")
            return False
        self._on_progress(0)
        self._failed.pop(name, None)
        self._sent[name] = state
        return _state(path) == state

    def _on_progress(self, _: int) -> None:
        self._moved_at = time.monotonic()

    def _files(self) -> Iterator[tuple[str, State]]:
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                state = _state(path)
                if state is not None:
                    yield str(path.relative_to(self._folder)), state


def _state(path: Path) -> State | None:
    """What tells one version of a file from the next; None for links and what is no file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if stat.S_ISREG(found.st_mode) else None
