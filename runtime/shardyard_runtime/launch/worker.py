"""Every other host: serves sshd for the head, and ends when the head says how the job ended."""

from __future__ import annotations

import os
import queue
import time
from dataclasses import asdict
from typing import Any

from . import rank_plan, records, ssh
from .control import Channel, Message, connect
from .entry import EntryPoint
from .errors import LaunchError
from .host import Host, host_timeout
from .meeting import Meeting
from .outcome import Outcome
from .verdict import lost, stopped

STOP_SECONDS = 9.0


class Worker:
    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self.meeting = meeting
        self._server: ssh.Server | None = None

    def refuse(self, problem: LaunchError) -> None:
        """This host cannot take part: the head learns it now, not when its time limit passes."""
        hello = {"problem": {"exit_code": problem.exit_code, "text": str(problem)}}
        try:
            channel, _ = self._meet(hello, timeout=5)
        except LaunchError:
            return
        channel.close()

    def run(self, entry: EntryPoint) -> Outcome:
        channel, welcome = self._meet({}, host_timeout())
        if welcome["type"] == "verdict":
            channel.close()
            return Outcome(welcome["exit_code"], welcome["text"])
        try:
            channel.send(self._prepare(entry, welcome))
        except LaunchError as error:
            channel.send({"type": "failed", "exit_code": error.exit_code, "text": str(error)})
        channel.follow(lambda message: self.host.events.put(_event(message)))
        try:
            return self._follow(channel)
        finally:
            if self._server is not None:
                self._server.stop()
            channel.close()

    def _meet(self, extra: Message, timeout: float) -> tuple[Channel, Message]:
        """Connects and says hello until the head answers; a stale address may lead to somebody else."""
        deadline = time.monotonic() + timeout
        head = self.host.cluster.head
        while True:
            channel = connect(self.meeting.find_head, head, max(0.0, deadline - time.monotonic()))
            channel.send({"type": "hello", "host": self.host.name, "token": self.meeting.token(), **extra})
            welcome = channel.receive(timeout=max(0.5, deadline - time.monotonic()))
            if welcome is not None and welcome.get("type") in {"welcome", "verdict"}:
                return channel, welcome
            channel.close()
            if time.monotonic() > deadline:
                raise LaunchError(f"Host {head!r} did not answer within {timeout:g} s.", exit_code=1)
            time.sleep(0.05)

    def _prepare(self, entry: EntryPoint, welcome: Message) -> Message:
        plan = self.host.write_plan(entry, local=self.meeting.local)
        plan.environment.update(welcome["environment"])
        plan.save(self.host.run_dir)
        ready: dict[str, Any] = {"type": "ready", "run_dir": str(self.host.run_dir)}
        if not self.meeting.local:
            variables = {name: os.environ[name] for name in ssh.PASSED_ON if name in os.environ}
            variables[rank_plan.RUN_DIR] = variables["TMPDIR"] = str(self.host.run_dir)
            self._server = ssh.Server(self.host.run_dir, welcome["public_key"], variables)
            self._server.start()
            ready |= {"port": self._server.port, "host_key": self._server.host_key, "user": ssh.user_name()}
        return ready

    def _follow(self, channel: Channel) -> Outcome:
        give_up: float | None = None
        received = 0
        while True:
            try:
                left = None if give_up is None else max(0.0, give_up - time.monotonic())
                kind, _, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                return stopped(received, self.host.name)
            if kind == "closed":
                return stopped(received, self.host.name) if received else lost(self.host.cluster.head)
            if kind == "signal":
                received, give_up = payload, time.monotonic() + STOP_SECONDS
                channel.send({"type": "signal", "signal": payload})
            elif payload["type"] == "ended":
                found = [asdict(record) for record in records.load_all(self.host.run_dir)]
                channel.send({"type": "records", "records": found})
            elif payload["type"] == "verdict":
                return Outcome(payload["exit_code"], payload["text"])


def _event(message: Message | None) -> tuple[str, str, Any]:
    return ("closed", "", None) if message is None else ("message", "", message)
