"""One TCP connection from every worker host to the head: JSON objects, one a line."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import LaunchError

Message = dict[str, Any]
RETRY_SECONDS = 0.05


class Channel:
    """One side of a control connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._reader = connection.makefile("rb")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _notice_a_dead_peer(connection)

    @property
    def peer_address(self) -> str:
        return str(self.connection.getpeername()[0])

    def send(self, message: Message) -> bool:
        """False when the other side is gone; that is told by `receive` too."""
        try:
            with self._lock:
                self.connection.sendall(json.dumps(message).encode() + b"\n")
            return True
        except OSError:
            return False

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None when the other side is gone."""
        try:
            self.connection.settimeout(timeout)
            line = self._reader.readline()
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def follow(self, deliver: Callable[[Message | None], None]) -> None:
        """Hands every further message to `deliver`, from a thread; None at last."""

        def read() -> None:
            while (message := self.receive()) is not None:
                deliver(message)
            deliver(None)

        threading.Thread(target=read, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def connect(find_address: Callable[[], tuple[str, int] | None], head: str, timeout: float) -> Channel:
    """Tries until the head listens. `find_address` is asked each time: a name may not resolve yet."""
    deadline = time.monotonic() + timeout
    reason = "it was not found"
    while True:
        try:
            address = find_address()
            if address is not None:
                return Channel(socket.create_connection(address, timeout=2))
        except OSError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise LaunchError(
                f"Host {head!r} could not be reached in {timeout:g} s ({reason}). Look at the log "
                "of that host, or set SHARDYARD_HOST_TIMEOUT to more seconds.",
                exit_code=1,
            )
        time.sleep(RETRY_SECONDS)


def _notice_a_dead_peer(connection: socket.socket) -> None:
    """The kernel tells within some 5 s that a host is gone, however busy its processes are."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 1),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", 3000),
    ):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
