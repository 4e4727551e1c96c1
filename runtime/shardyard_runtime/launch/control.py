"""One TCP connection from every worker host to the head: JSON objects, one a line.

Both sides send a beat every now and then, so a host that is frozen or cut off is told from one that has nothing
to say: a closed connection is known at once, silence after `host_timeout`.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from .timeouts import host_timeout

Message = dict[str, Any]
BEAT = "beat"
CLOSED: Message = {"type": "closed"}


class Channel:
    """One side of a control connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.peer: tuple[str, int] = connection.getpeername()[:2]
        self.unread = bytearray()
        self.is_open = True
        self._lock = threading.Lock()
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # later than our own verdict, which says more
            milliseconds = int(1000 * (host_timeout() + 10))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    @property
    def peer_address(self) -> str:
        return self.peer[0].removeprefix("::ffff:")

    def send(self, message: Message) -> bool:
        """False when the other side is gone; that is told by `receive` too."""
        try:
            with self._lock:
                self.connection.sendall(json.dumps(message).encode() + b"\n")
            return True
        except OSError:
            return False

    def receive(self, timeout: float) -> Message | None:
        """The next message that is no beat; `CLOSED`; None when the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(max(0.0, deadline - time.monotonic()))
            if message is None and time.monotonic() >= deadline:
                return None
            if message is not None and message.get("type") != BEAT:
                return message

    def follow(self, deliver: Callable[[Message], None], silence: float) -> None:
        """Hands every further message to `deliver`, from a thread; at last that it closed or fell silent."""
        threading.Thread(target=self._follow, args=(deliver, silence), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _follow(self, deliver: Callable[[Message], None], silence: float) -> None:
        every = min(1.0, silence / 6)
        beaten = 0.0
        quiet = 0.0  # counted in waits, not by the clock: a pause of this host is no silence of the other
        while True:
            if time.monotonic() - beaten >= every:
                self.send({"type": BEAT})
                beaten = time.monotonic()
            message = self._next(every)
            quiet = quiet + every if message is None else 0.0
            self.is_open = message != CLOSED
            if message is not None and message.get("type") != BEAT:
                deliver(message)
            if message == CLOSED:
                return
            if quiet >= silence:
                self.is_open = False
                deliver({"type": "silent", "seconds": silence})
                return

    def _next(self, timeout: float) -> Message | None:
        while b"\n" not in self.unread:
            try:
                if not select.select([self.connection], [], [], timeout)[0]:
                    return None
                chunk = self.connection.recv(1 << 16)
            except (OSError, ValueError):
                return CLOSED
            if not chunk:
                return CLOSED
            self.unread += chunk
        line, _, rest = self.unread.partition(b"\n")
        self.unread = rest
        try:
            message = json.loads(line)
        except ValueError:
            return CLOSED
        return message if isinstance(message, dict) else CLOSED
