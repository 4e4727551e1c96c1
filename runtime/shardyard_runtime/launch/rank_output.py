"""The ranks of this host, as their launcher sees them: what they write, and how to reach them.

Open MPI's own tagging breaks lines at the ends of its buffers and drops what does not fit once tagged, so the
output of ranks does not travel through it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import hand_over
from .processes import is_running
from .tagged_lines import TaggedLines

Sink = Callable[[int, bytes], None]  # takes a stream's number and whole lines
_CHUNK = 1 << 18


@dataclass(frozen=True)
class _Rank:
    """The connection that a rank keeps open for as long as it lives."""

    pid: int
    watcher: int  # the process that notes how it ends
    is_command: bool


class RankOutput:
    def __init__(self, folder: Path, host: str, sink: Sink) -> None:
        self._host = host
        self._sink = sink
        self._stop_signal = 0
        self._ranks: dict[int, _Rank] = {}  # by descriptor of the connection
        self._known: list[_Rank] = []
        self._finish_by: float | None = None
        self._server = hand_over.listen(folder)
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def has_ranks(self) -> bool:
        return bool(self._ranks)

    def stop_ranks(self, number: int) -> None:
        """The signal goes to every rank here, and to those that are still starting."""
        self._stop_signal = number
        for rank in list(self._ranks.values()):
            _send_signal(rank, number)

    def wait_for_notes(self, timeout: float = 1.0) -> None:
        """Of a rank that has ended, its watcher is about to note how: it must not be killed before."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and any(
            not is_running(rank.pid) and is_running(rank.watcher) for rank in self._known
        ):
            time.sleep(0.005)

    def finish(self, timeout: float = 5.0) -> None:
        """Takes what is still in the pipes. A process that escaped may hold one open, so not for ever."""
        self._finish_by = time.monotonic() + timeout
        self._wake.send(b"x")
        self._thread.join(timeout + 1)

    def _run(self) -> None:
        while True:
            finishing = self._finish_by is not None
            ready = self._selector.select(0.02 if finishing else 1.0)
            for key, _ in ready:
                self._handle(key)
            for key in self._streams():
                self._show(key.data, key.data.overdue())
            if finishing and (not ready or time.monotonic() > (self._finish_by or 0)):
                break
        for key in self._streams():
            self._show(key.data, key.data.last())
        self._server.close()

    def _streams(self) -> list[selectors.SelectorKey]:
        return [key for key in self._selector.get_map().values() if isinstance(key.data, TaggedLines)]

    def _handle(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._server:
            self._admit()
        elif key.fileobj is self._woken:
            self._woken.recv(1)
        elif isinstance(key.data, TaggedLines):
            self._read(key.fd, key.data)
        else:
            self._ranks.pop(key.fd, None)
            self._drop(key.fd)

    def _admit(self) -> None:
        link, _ = self._server.accept()
        try:
            said, descriptors = hand_over.receive(link)
        except (OSError, ValueError):
            link.close()
            return
        for number, descriptor in descriptors.items():
            tag = f"[1,mpirank:{said['rank']},{self._host}]<{hand_over.STREAMS[number]}>:"
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, TaggedLines(number, tag.encode()))
        rank = _Rank(said["pid"], said["watcher"], said["is_command"])
        connection = link.detach()
        self._ranks[connection] = rank
        self._known.append(rank)
        self._selector.register(connection, selectors.EVENT_READ, rank)
        if self._stop_signal:
            _send_signal(rank, self._stop_signal)

    def _read(self, descriptor: int, lines: TaggedLines) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        self._show(lines, lines.take(chunk) if chunk else lines.last())
        if not chunk:
            self._drop(descriptor)

    def _drop(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def _show(self, lines: TaggedLines, data: bytes) -> None:
        if data:
            with contextlib.suppress(OSError):
                self._sink(lines.stream, data)


def _send_signal(rank: _Rank, number: int) -> None:
    """To a Python rank alone: what it started may serve its last checkpoint. A shell passes nothing on."""
    with contextlib.suppress(OSError):
        if rank.is_command and os.getpgid(rank.pid) == rank.pid:
            os.killpg(rank.pid, number)
        else:
            os.kill(rank.pid, number)
