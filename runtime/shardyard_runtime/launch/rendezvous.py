"""The head's side of the meeting: every worker host reports before mpirun starts."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time

from .control import Channel, Message
from .errors import LaunchError
from .host import Event, Host, host_timeout
from .meeting import Meeting
from .outcome import Outcome
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
        self._expected = set(host.cluster.hosts[1:])
        try:
            self._server = meeting.listen()
        except OSError as error:
            raise LaunchError(
                f"The control port cannot be opened on {host.name!r}: {error}. End what uses it, or set "
                "SHARDYARD_CONTROL_PORT to another port on every host."
            ) from error
        threading.Thread(target=self._accept, daemon=True).start()

    def gather(self, welcome: Message) -> dict[str, Message]:
        """Waits until every worker is ready; returns what each of them said."""
        ready: dict[str, Message] = {}
        timeout = host_timeout()
        deadline = time.monotonic() + timeout
        while missing := self._expected - set(ready):
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise LaunchError(
                    f"{self._names(missing)} did not report to {self.host.name!r} within {timeout:g} s. "
                    "Look at the log of the missing host, or set SHARDYARD_HOST_TIMEOUT to more seconds.",
                    exit_code=1,
                ) from None
            if kind == "hello":
                self._greet(name, payload, welcome)
            elif kind == "signal" or (kind == "message" and payload["type"] == "signal"):
                number = payload if kind == "signal" else payload["signal"]
                raise JobEnded(stopped(number, name))
            elif kind == "closed":
                raise JobEnded(lost(name))
            elif payload["type"] == "failed":
                raise JobEnded(Outcome(payload["exit_code"], f"{name}: {payload['text']}"))
            elif payload["type"] == "ready":
                ready[name] = payload
        return ready

    def refuse_all(self, outcome: Outcome, timeout: float = 10.0) -> None:
        """The head itself cannot start: each worker is told as it reports."""
        verdict = {"type": "verdict", "exit_code": outcome.exit_code, "text": outcome.text}
        told: set[str] = set()
        deadline = time.monotonic() + timeout
        while self._expected - told and time.monotonic() < deadline:
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if kind == "hello":
                payload[0].send(verdict)
                self.channels[name] = payload[0]
                told.add(name)
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
        if name in self.channels:
            channel.close()
            return
        self.channels[name] = channel
        if hello.get("problem"):
            self.host.events.put(("message", name, {"type": "failed", **hello["problem"]}))
            return
        channel.send(welcome)
        channel.follow(lambda message: self.host.events.put(_event(name, message)))

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
            hello = channel.receive(timeout=5) or {}
            name = str(hello.get("host", ""))
            token = str(hello.get("token", ""))
            if name in self._expected and self.meeting.admits(name, channel.peer_address, token):
                self.host.events.put(("hello", name, (channel, hello)))
            else:
                channel.close()

    @staticmethod
    def _names(hosts: set[str]) -> str:
        return ("Host " if len(hosts) == 1 else "Hosts ") + ", ".join(repr(name) for name in sorted(hosts))


def _event(name: str, message: Message | None) -> Event:
    return ("closed", name, None) if message is None else ("message", name, message)
