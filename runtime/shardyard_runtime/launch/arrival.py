"""The worker's side of the meeting: finding the head, and being admitted."""

from __future__ import annotations

import socket
import time

from .control import Channel, Message
from .errors import LaunchError
from .host import Host
from .meeting import Meeting

RETRY_SECONDS = 0.05
CONNECT_SECONDS = 2.0


def greeting(host: Host, meeting: Meeting, kind: str) -> Message:
    count = host.cluster.processes_per_host
    cluster = [list(host.cluster.hosts), count] if count else None  # None: it could not be read
    return {"type": kind, "host": host.name, "token": meeting.token(), "cluster": cluster}


def find_head(host: Host, meeting: Meeting, timeout: float) -> Channel:
    """Tries until the head admits this host: its name may not resolve yet, or lead to somebody else."""
    deadline = time.monotonic() + timeout
    head = host.cluster.head
    reason = "it was not found"
    while True:
        try:
            address = meeting.find_head()
            if address is not None:
                channel = Channel(socket.create_connection(address, timeout=CONNECT_SECONDS))
                channel.send(greeting(host, meeting, "hello"))
                answer = channel.receive(timeout=max(0.5, deadline - time.monotonic()))
                if answer is not None and answer["type"] == "admitted":
                    return channel
                reason = "it did not answer" if answer is None else "it does not admit this host"
                channel.close()
        except OSError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise LaunchError(
                f"Host {head!r} did not admit {host.name!r} within {timeout:g} s ({reason}). Look at the log "
                f"of {head!r}, or set SHARDYARD_HOST_TIMEOUT to more seconds.",
                exit_code=1,
            )
        time.sleep(RETRY_SECONDS)
