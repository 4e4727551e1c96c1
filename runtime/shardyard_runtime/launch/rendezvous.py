"""The head's side of the meeting: every worker host reports before mpirun starts."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time

from .control import CLOSED, Channel, Message
from .errors import LaunchError
from .host import Host
from .link_events import reason_of_loss, to_event
from .log_link import LogReceiver
from .meeting import Meeting
from .outcome import Outcome
from .timeouts import host_timeout
from .verdict import lost, stopped


class JobEnded(Exception):
    """The job is over before mpirun started."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Rendezvous:
    """Listens, greets every worker, and keeps the connections. What happens comes as events of the host."""

    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self.meeting = meeting
        self.channels: dict[str, Channel] = {}
        self.logs = LogReceiver()
        self._expected = set(host.cluster.hosts[1:])
        self._seconds = host_timeout()
        self._deadline = time.monotonic() + self._seconds
        try:
            self._server = meeting.listen()
        except OSError as error:
            raise LaunchError(
                f"The control port cannot be opened on {host.name!r}: {error}. End what uses it, or set "
                "SHARDYARD_CONTROL_PORT to another port on every host."
            ) from error
        threading.Thread(target=self._accept, daemon=True).start()

    def gather(self, welcome: Message) -> dict[str, Message]:
        """Waits until every worker is ready; returns what each of them said.

        A worker has to arrive in time. Then it may take its time, to install packages say, as long as it beats.
        """
        ready: dict[str, Message] = {}
        while missing := self._expected - set(ready):
            absent = self._expected - set(self.channels)
            left = max(0.0, self._deadline - time.monotonic()) if absent else None
            try:
                kind, name, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                raise LaunchError(
                    f"{_names(absent)} did not report to {self.host.name!r} within {self._seconds:g} s. "
                    "Look at the log of the missing host, or set SHARDYARD_HOST_TIMEOUT to more seconds.",
                    exit_code=1,
                ) from None
            if kind == "hello":
                self._greet(name, payload, welcome)
            elif kind == "signal" or (kind == "message" and payload["type"] == "signal"):
                number = payload if kind == "signal" else payload["signal"]
                raise JobEnded(stopped(number, name))
            elif kind in {"closed", "silent"}:
                awaited = f"{self.host.name} waited for {_names(missing)} to be ready"
                raise JobEnded(lost(name, reason_of_loss(kind, payload, awaited)))
            elif payload["type"] == "failed":
                raise JobEnded(Outcome(payload["exit_code"], f"{name}: {payload['text']}\n"))
            elif payload["type"] == "ready":
                ready[name] = payload
        return ready

    def refuse_all(self, outcome: Outcome) -> None:
        """The head itself cannot start: each worker is told as it reports."""
        deadline = time.monotonic() + min(10.0, self._seconds)
        while self._expected - set(self.channels):
            try:
                left = max(0.0, deadline - time.monotonic())
                kind, name, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                return
            if kind == "hello":
                payload[0].send(verdict_message(outcome))
                self.channels[name] = payload[0]
            elif kind == "signal":
                return

    def send_all(self, message: Message) -> None:
        for channel in self.channels.values():
            channel.send(message)

    def close(self) -> None:
        self._server.close()
        self.meeting.close()
        for channel in self.channels.values():
            channel.close()

    def _greet(self, name: str, payload: tuple[Channel, Message], welcome: Message) -> None:
        channel, hello = payload
        self.channels[name] = channel
        told = [list(self.host.cluster.hosts), self.host.cluster.processes_per_host]
        if hello.get("cluster") not in (told, None):
            text = (
                f"was told [hosts, processes per host] {hello['cluster']}, but {self.host.name} {told}. "
                "Every host needs the same resource configuration and hyperparameters."
            )
            self.host.events.put(("message", name, {"type": "failed", "exit_code": 2, "text": text}))
        channel.send(welcome)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._hear_hello, args=(connection,), daemon=True).start()

    def _hear_hello(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            channel = Channel(connection)
            hello = channel.receive(timeout=5) or CLOSED
            name = str(hello.get("host", ""))
            token = str(hello.get("token", ""))
            known = name in self._expected and self.meeting.admits(name, channel.peer_address, token)
            if known and hello.get("type") == "log":
                self.logs.follow(channel)
            elif known and name not in self.channels:
                channel.send({"type": "admitted"})
                self.host.events.put(("hello", name, (channel, hello)))
                channel.follow(lambda message: self.host.events.put(to_event(name, message)), self._seconds)
            else:
                channel.close()


def verdict_message(outcome: Outcome) -> Message:
    return {"type": "verdict", "exit_code": outcome.exit_code, "text": outcome.text}


def _names(hosts: set[str]) -> str:
    return ("Host " if len(hosts) == 1 else "Hosts ") + ", ".join(repr(name) for name in sorted(hosts))
