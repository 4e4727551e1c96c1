"""A rank gives the reading ends of its standard output and error to the launcher of its host."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOCKET = "output.sock"
STREAMS = {1: "stdout", 2: "stderr"}
_ADDRESS_BYTES = 100  # the kernel takes some 107


def hand_over(folder: Path, rank: int, *, is_command: bool) -> None:
    """From here on this process writes to the launcher of its host, if that listens; else to mpirun as before."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(folder / SOCKET) as path:
            link.connect(path)
        said = {"rank": rank, "pid": os.getpid(), "watcher": os.getppid(), "is_command": is_command}
        pipes = {number: os.pipe() for number in STREAMS}
        socket.send_fds(link, [json.dumps(said).encode()], [reading for reading, _ in pipes.values()])
    except OSError:
        link.close()
        return
    for number, (reading, writing) in pipes.items():
        os.dup2(writing, number)
        os.close(reading)
        os.close(writing)
    link.set_inheritable(is_command)
    link.detach()  # open for as long as the process lives, which is how the launcher knows


def listen(folder: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _reachable(folder / SOCKET) as path:
        server.bind(path)
    server.listen(512)
    return server


def receive(link: socket.socket) -> tuple[dict[str, Any], dict[int, int]]:
    """What the rank said, and its streams' descriptors."""
    link.settimeout(5)
    said, descriptors, _, _ = socket.recv_fds(link, 4096, len(STREAMS))
    return json.loads(said), dict(zip(STREAMS, descriptors, strict=True))


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name of the socket that is short enough for an address."""
    if len(os.fsencode(path)) <= _ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
