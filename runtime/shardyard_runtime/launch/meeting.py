"""Where the hosts of a job meet: over the network, or on one machine in process mode."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .errors import LaunchError
from .logs import say

DEFAULT_PORT = 7719


class Meeting(Protocol):
    """How the head is found, and who is believed to be one of its workers."""

    local: bool

    def listen(self) -> socket.socket: ...
    def find_head(self) -> tuple[str, int] | None: ...
    def token(self) -> str: ...
    def admits(self, host: str, address: str, token: str) -> bool: ...
    def close(self) -> None: ...


@dataclass
class NetworkMeeting:
    """The head's host name and an agreed port. A worker is believed when its address belongs to its name."""

    head: str
    port: int = DEFAULT_PORT
    local: bool = False
    told: set[tuple[str, str]] = field(default_factory=set)  # strangers that the log names already

    def listen(self) -> socket.socket:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return socket.create_server(
            ("", self.port), family=family, dualstack_ipv6=family == socket.AF_INET6, backlog=512
        )

    def find_head(self) -> tuple[str, int] | None:
        return self.head, self.port

    def token(self) -> str:
        return ""

    def admits(self, host: str, address: str, token: str) -> bool:
        try:
            known = {str(item[4][0]) for item in socket.getaddrinfo(host, None)}
        except OSError as error:
            known = {str(error)}
        if address not in known and (host, address) not in self.told:  # it asks again, many times a second
            self.told.add((host, address))
            say(f"{address} says it is {host!r}, which it is not by its name's address ({', '.join(known)})")
        return address in known

    def close(self) -> None:
        pass


class LocalMeeting:
    """The head picks a free port and leaves it, with a secret, in a private file beside its base folder."""

    local = True

    def __init__(self, head_base: Path) -> None:
        self._file = head_base / ".shardyard-control"
        self._token = os.urandom(16).hex()

    def listen(self) -> socket.socket:
        server = socket.create_server(("127.0.0.1", 0), backlog=512)
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        part.touch(mode=0o600)
        part.write_text(json.dumps({"port": server.getsockname()[1], "token": self._token}), encoding="utf-8")
        part.replace(self._file)
        return server

    def find_head(self) -> tuple[str, int] | None:
        try:
            published = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        self._token = published["token"]
        return "127.0.0.1", int(published["port"])

    def token(self) -> str:
        return self._token

    def admits(self, host: str, address: str, token: str) -> bool:
        import hmac  # only processes of one machine need it

        return hmac.compare_digest(token, self._token)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink()


def choose_meeting(head: str, environ: Mapping[str, str] = os.environ) -> Meeting:
    local_hosts = environ.get("SHARDYARD_LOCAL_HOSTS")
    if local_hosts:
        return LocalMeeting(Path(json.loads(local_hosts)[head]))
    port = environ.get("SHARDYARD_CONTROL_PORT") or str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise LaunchError(
            f"SHARDYARD_CONTROL_PORT is {port!r}. It must be a port, 1 to 65535, the same on every host."
        )
    return NetworkMeeting(head, int(port))
