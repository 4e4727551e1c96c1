"""Every other host of several with torchrun: starts at the first host's word, and ends at it."""

from __future__ import annotations

import queue
import threading
import time

from . import arrival, processes
from .control import Channel, Message
from .errors import LaunchError
from .host import Event, Host
from .link_events import reason_of_loss, to_event
from .meeting import Meeting
from .outcome import Outcome
from .rendezvous import JobEnded
from .timeouts import host_timeout, stop_grace
from .torchrun_job import END, TorchrunJob
from .verdict import lost, stopped

REFUSE_SECONDS = 5.0
VERDICT_SECONDS = 7.0  # beyond the grace: how long the first host may take with its verdict


class TorchrunMember:
    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self._meeting = meeting
        self._head = host.cluster.head
        self._channel: Channel | None = None
        self._outcome: Outcome | None = None
        self._awaited = "its word to start"
        self._give_up: float | None = None
        self._stop_signal = 0
        threading.Thread(target=self._arrive, daemon=True).start()

    def refuse(self, problem: LaunchError) -> None:
        """This host cannot take part: the first one learns it now, not when its time limit passes."""
        deadline = time.monotonic() + REFUSE_SECONDS
        while self._channel is None:
            try:
                kind, _, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if kind == "met":
                self._channel = payload
        self._send({"type": "failed", "exit_code": problem.exit_code, "text": str(problem)})
        self._channel.close()

    def run(self, job: TorchrunJob) -> Outcome:
        try:
            name, port = self._wait_for("go")["address"]
            self._awaited = "the end of the job"
            report = job.run((name, port), self._on_stop, self._react)
            processes.end_descendants()
            self._send(report.message())
            self._wait_for("verdict")
        except JobEnded as ended:
            return ended.outcome
        finally:
            processes.end_descendants()
            if self._channel is not None:
                self._channel.close()
        raise AssertionError("a verdict ends the wait")

    def _arrive(self) -> None:
        events = self.host.events
        try:
            channel = arrival.find_head(self.host, self._meeting, host_timeout())
        except LaunchError as error:
            events.put(("unreached", self._head, error))
            return
        events.put(("met", self._head, channel))
        channel.follow(lambda message: events.put(to_event(self._head, message)), host_timeout())

    def _wait_for(self, wanted: str) -> Message:
        while self._outcome is None:
            try:
                left = None if self._give_up is None else max(0.0, self._give_up - time.monotonic())
                event = self.host.events.get(timeout=left)
            except queue.Empty:
                raise JobEnded(stopped(self._stop_signal, self.host.name)) from None
            kind, _, payload = event
            if kind == "unreached":
                raise payload
            if kind == "met":
                self._channel = payload
                self._send({"type": "ready"})
            elif kind == "signal":
                self._on_stop(payload)
            elif kind == "message" and payload["type"] == wanted != "verdict":
                return dict(payload)
            else:
                self._react(event)
        raise JobEnded(self._outcome)

    def _react(self, event: Event) -> int:
        """What the event means for the program of this host: a signal, or nothing."""
        kind, _, payload = event
        if kind in {"closed", "silent"}:
            reason = reason_of_loss(kind, payload, f"{self.host.name} waited for {self._awaited}")
            self._outcome = self._outcome or lost(self._head, reason)
        elif kind == "message" and payload["type"] == "verdict":
            self._outcome = Outcome(payload["exit_code"], payload["text"])
        elif kind == "message" and payload["type"] == "stop":
            return int(payload["signal"])
        elif kind != "message" or payload["type"] != "end":
            return 0
        return END

    def _on_stop(self, number: int) -> None:
        """The first host decides when there is one: the signal has to reach every rank of the job."""
        if self._stop_signal:
            return
        self._stop_signal = number
        self._give_up = time.monotonic() + (stop_grace() + VERDICT_SECONDS if self._channel else 0.0)
        self._send({"type": "signal", "signal": number})

    def _send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)
