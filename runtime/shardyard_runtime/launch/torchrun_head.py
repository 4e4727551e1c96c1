"""The first host of several with torchrun: the first failure, wherever it is, ends all of them."""

from __future__ import annotations

import queue
import socket
import time

from . import processes
from .errors import LaunchError
from .evidence import Evidence, decide
from .host import Event, Host
from .link_events import reason_of_loss
from .meeting import Meeting
from .outcome import Outcome
from .rendezvous import JobEnded, Rendezvous, verdict_message
from .timeouts import stop_grace
from .torchrun_job import END, PORT, Report, TorchrunJob

END_SECONDS = 5.0  # for the others to end what they run, and to say so
GOODBYE_SECONDS = 2.0


class TorchrunHead:
    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self._meeting = meeting
        self._rendezvous = Rendezvous(host, meeting)
        self._running = set(host.cluster.hosts[1:])
        self._evidence = Evidence()
        self._detail = ""
        self._give_up: float | None = None
        self._ending = False

    def refuse(self, problem: LaunchError) -> None:
        self._rendezvous.refuse_all(Outcome(problem.exit_code, f"{self.host.name}: {problem}\n"))
        self._rendezvous.close()

    def run(self, job: TorchrunJob) -> Outcome:
        try:
            outcome = self._run(job)
        except JobEnded as ended:
            outcome = ended.outcome
        except LaunchError as error:
            outcome = Outcome(error.exit_code, f"{error}\n")
        finally:
            processes.end_descendants()
        self._say_goodbye(outcome)
        return outcome

    def _run(self, job: TorchrunJob) -> Outcome:
        address = ("127.0.0.1", _free_port()) if self._meeting.local else (self.host.name, PORT)
        self._rendezvous.gather({"type": "welcome"})
        self._rendezvous.send_all({"type": "go", "address": address})
        self._note(
            self.host.name, job.run(address, lambda number: self._stop(number, self.host.name), self._react)
        )
        while self._running:
            try:
                left = None if self._give_up is None else max(0.0, self._give_up - time.monotonic())
                self._react(self.host.events.get(timeout=left))
            except queue.Empty:
                break
        outcome = decide(self._evidence, self.host.cluster)
        if self._evidence.stop_signal and self._detail:
            return Outcome(outcome.exit_code, f"{outcome.text}{self._detail}\n")
        return outcome

    def _react(self, event: Event) -> int:
        """What the event means for the program of this host: a signal, or nothing."""
        kind, name, payload = event
        if kind == "signal":
            self._stop(payload, name)
        elif kind == "message" and payload["type"] == "signal":
            self._stop(payload["signal"], name)
            return int(payload["signal"])
        elif kind == "message" and payload["type"] == "ended":
            self._running.discard(name)
            self._note(name, Report.of(payload))
        elif kind in {"closed", "silent"} and name in self._running:
            self._running.discard(name)
            if not self._evidence.lost_host:
                awaited = f"{self.host.name} waited for the end of its ranks"
                self._evidence.lost_host, self._evidence.lost_at = name, time.time()
                self._evidence.lost_reason = reason_of_loss(kind, payload, awaited)
            self._end()
        return END if self._ending else 0

    def _note(self, name: str, report: Report) -> None:
        self._evidence.records += report.found
        self._detail = self._detail or report.detail
        if report.exit_code:
            self._evidence.returncode = self._evidence.returncode or report.exit_code
            if not self._evidence.stop_signal:
                self._end()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._give_up = time.monotonic() + END_SECONDS
            self._rendezvous.send_all({"type": "end"})

    def _stop(self, number: int, name: str) -> None:
        """Every host gets the signal, and its time to write a checkpoint."""
        if not self._evidence.stop_signal:
            self._evidence.stop_signal, self._evidence.stopped_on = number, name
            self._give_up = time.monotonic() + stop_grace() + END_SECONDS
            self._rendezvous.send_all({"type": "stop", "signal": number})

    def _say_goodbye(self, outcome: Outcome) -> None:
        """The verdict, and a little time for every host to take it and hang up."""
        self._rendezvous.send_all(verdict_message(outcome))
        waiting = {name for name, channel in self._rendezvous.channels.items() if channel.is_open}
        deadline = time.monotonic() + GOODBYE_SECONDS
        while waiting:
            try:
                kind, name, _ = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if kind in {"closed", "silent"}:
                waiting.discard(name)
        self._rendezvous.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
