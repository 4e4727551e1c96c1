"""Every other host: serves sshd for the head, and ends when the head says how the job ended."""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import asdict
from typing import Any

from . import arrival, processes, rank_plan, records, ssh
from .control import Channel, Message
from .entry import EntryPoint
from .errors import LaunchError
from .host import Host
from .link_events import reason_of_loss, to_event
from .log_link import LogSender
from .meeting import Meeting
from .outcome import Outcome
from .rank_output import RankOutput
from .timeouts import host_timeout, stop_grace
from .verdict import lost, stopped

VERDICT_SECONDS = 5.0  # how long the head may take with its verdict once every rank was stopped
REFUSE_SECONDS = 5.0
FLUSH_SECONDS = 55.0  # for the rest of a long log; the head waits a little longer


class Worker:
    """From its making on it looks for the head, while this host's code is being prepared."""

    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self.meeting = meeting
        self._head = host.cluster.head
        self._channel: Channel | None = None
        self._log = LogSender()
        self._output = RankOutput(host.run_dir, host.name, self._log)
        self._server: ssh.Server | None = None
        self._stop_signal = 0
        self._give_up: float | None = None
        self._awaited = "its welcome"
        threading.Thread(target=self._arrive, daemon=True).start()

    def refuse(self, problem: LaunchError) -> None:
        """This host cannot take part: the head learns it now, not when its time limit passes."""
        deadline = time.monotonic() + REFUSE_SECONDS
        while self._channel is None and time.monotonic() < deadline:
            try:
                event = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if event[0] == "met":
                self._channel = event[2]
        self._send({"type": "failed", "exit_code": problem.exit_code, "text": str(problem)})
        if self._channel is not None:
            self._channel.close()

    def run(self, entry: EntryPoint) -> Outcome:
        problem: LaunchError | None = None
        try:
            ready = self._prepare(entry)
        except LaunchError as error:
            problem, ready = error, {}
        try:
            return self._follow(entry, ready, problem)
        finally:
            processes.end_descendants()
            self._output.finish(1.0)
            self._log.close()
            if self._channel is not None:
                self._channel.close()

    def _arrive(self) -> None:
        events = self.host.events
        try:
            channel = arrival.find_head(self.host, self.meeting, host_timeout())
        except LaunchError as error:
            events.put(("unreached", self._head, error))
            return
        events.put(("met", self._head, channel))
        channel.follow(lambda message: events.put(to_event(self._head, message)), host_timeout())

    def _prepare(self, entry: EntryPoint) -> Message:
        """What needs no word from the head, done while it is being reached."""
        self.host.write_plan(entry, local=self.meeting.local)
        ready: dict[str, Any] = {"type": "ready", "run_dir": str(self.host.run_dir)}
        if not self.meeting.local:
            variables = {name: os.environ[name] for name in ssh.PASSED_ON if name in os.environ}
            variables[rank_plan.RUN_DIR] = variables["TMPDIR"] = str(self.host.run_dir)
            self._server = ssh.Server(self.host.run_dir, variables)
            self._server.start()
            threading.Thread(target=self._watch_server, daemon=True).start()
            ready |= {"port": self._server.port, "host_key": self._server.host_key, "user": ssh.user_name()}
        return ready

    def _watch_server(self) -> None:
        assert self._server is not None
        self.host.events.put(("sshd", self.host.name, self._server.wait()))

    def _follow(self, entry: EntryPoint, ready: Message, problem: LaunchError | None) -> Outcome:
        while True:
            try:
                left = None if self._give_up is None else max(0.0, self._give_up - time.monotonic())
                kind, _, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                return stopped(self._stop_signal, self.host.name)
            if kind == "unreached":
                raise payload
            if kind == "met":
                self._channel = payload
                if problem is not None:
                    told = {"type": "failed", "exit_code": problem.exit_code, "text": str(problem)}
                    payload.send(told)
            elif kind in {"closed", "silent"}:
                if self._stop_signal:
                    return stopped(self._stop_signal, self.host.name)
                awaited = f"{self.host.name} waited for {self._awaited}"
                return lost(self._head, reason_of_loss(kind, payload, awaited))
            elif kind == "signal":
                self._on_signal(payload)
            elif kind == "sshd":
                self._send({"type": "sshd", "returncode": payload})
            elif payload["type"] == "welcome" and problem is None:
                self._accept(payload, ready)
            elif (outcome := self._obey(payload)) is not None:
                return outcome

    def _accept(self, welcome: Message, ready: Message) -> None:
        plan = rank_plan.load(self.host.run_dir)
        plan.environment.update(welcome["environment"])
        plan.save(self.host.run_dir)
        if self._server is not None:
            self._server.authorize(welcome["public_key"])
        if self._channel is not None:
            self._log.connect(self._channel.peer, arrival.greeting(self.host, self.meeting, "log"))
        self._awaited = "the end of the job"
        self._send(ready)

    def _on_signal(self, number: int) -> None:
        """The head decides when there is one: the signal has to reach every rank of the job."""
        self._stop_signal = number
        if self._channel is None:
            self._give_up = time.monotonic()
            return
        if self._give_up is None:
            self._give_up = time.monotonic() + stop_grace() + VERDICT_SECONDS
        self._send({"type": "signal", "signal": number})

    def _obey(self, message: Message) -> Outcome | None:
        if message["type"] == "stop":
            self._output.stop_ranks(message["signal"])
        elif message["type"] == "ended":
            self._output.wait_for_notes()
            processes.end_descendants()
            self._output.finish(FLUSH_SECONDS)
            self._log.close()
            found = [asdict(record) for record in records.load_all(self.host.run_dir)]
            self._send({"type": "records", "records": found})
        elif message["type"] == "verdict":
            return Outcome(message["exit_code"], message["text"])
        return None

    def _send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)
