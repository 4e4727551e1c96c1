"""A worker's log travels to the head over a connection of its own, so that the head's log is the job's."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time

from .control import Channel, Message
from .logs import write

_HEADER = struct.Struct(">BI")  # stream, length
_CHUNK = 1 << 18


def print_here(stream: int, data: bytes) -> None:
    write(data, sys.stdout if stream == 1 else sys.stderr)


class LogSender:
    """The worker's end. What can no longer be sent is printed here, so that nothing is lost."""

    def __init__(self) -> None:
        self._connection: socket.socket | None = None

    def connect(self, address: tuple[str, int], hello: Message) -> None:
        with contextlib.suppress(OSError):
            connection = socket.create_connection(address, timeout=2)
            connection.settimeout(None)
            connection.sendall(json.dumps(hello).encode() + b"\n")
            self._connection = connection

    def __call__(self, stream: int, data: bytes) -> None:
        if self._connection is not None:
            try:
                self._connection.sendall(_HEADER.pack(stream, len(data)) + data)
                return
            except OSError:
                self._connection = None
        print_here(stream, data)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class LogReceiver:
    """The head's end, for all workers."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def follow(self, channel: Channel) -> None:
        thread = threading.Thread(target=_copy, args=(channel,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def finish(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _copy(channel: Channel) -> None:
    held = channel.unread  # what came together with the greeting
    with contextlib.suppress(OSError):
        while True:
            while len(held) >= _HEADER.size:
                stream, length = _HEADER.unpack_from(held)
                end = _HEADER.size + length
                if len(held) < end:
                    break
                print_here(stream, bytes(held[_HEADER.size : end]))
                del held[:end]
            chunk = channel.connection.recv(_CHUNK)
            if not chunk:
                break
            held += chunk
    channel.close()
