"""While mpirun runs: what happens on all hosts, and what it means for the job."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from typing import Any

from . import processes
from .evidence import Evidence
from .host import Host
from .link_events import reason_of_loss
from .logs import LogPump, say
from .rank_output import RankOutput
from .rendezvous import Rendezvous
from .timeouts import stop_grace

END_SECONDS = 1.0  # how long mpirun may take to end its ranks, on hosts that may be gone


class Supervision:
    def __init__(self, host: Host, rendezvous: Rendezvous | None, output: RankOutput) -> None:
        self.host = host
        self.evidence = Evidence()
        self.gone: set[str] = set()
        self._rendezvous = rendezvous
        self._output = output
        self._mpirun: subprocess.Popen[bytes] | None = None
        self._end_at: float | None = None  # mpirun is asked to end
        self._kill_at: float | None = None  # it is made to
        self._notes: list[str] = []

    def run(self, command: list[str], variables: dict[str, str], separator: str) -> None:
        pipe = subprocess.PIPE
        mpirun = processes.start(
            command, env=variables, cwd=self.host.run_dir, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        self._mpirun = mpirun
        pump = LogPump(self.host.cluster.host_of, separator)
        assert mpirun.stdout is not None
        assert mpirun.stderr is not None
        pump.follow(mpirun.stdout, sys.stdout)
        pump.follow(mpirun.stderr, sys.stderr)
        threading.Thread(target=self._wait, daemon=True).start()
        while True:
            due = self._kill_at if self._kill_at is not None else self._end_at
            try:
                left = None if due is None else max(0.0, due - time.monotonic())
                kind, name, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                self._press_on(mpirun)
                continue
            if kind == "mpirun":
                self.evidence.returncode = payload
                break
            self.note(kind, name, payload)
        processes.end(mpirun, grace=0)
        # The ssh to a host that was cut off keeps our pipes open for a while.
        pump.finish(0.3 if self.evidence.lost_host else 5.0)
        self.evidence.own_words = [*pump.own_words, *self._notes]

    def note(self, kind: str, name: str, payload: Any) -> None:
        """Keeps what an event means for the outcome, and ends the job when it has to end."""
        if kind in {"closed", "silent"}:
            self.gone.add(name)
            if not self.evidence.lost_host:
                self.evidence.lost_host, self.evidence.lost_at = name, time.time()
                awaited = f"{self.host.name} waited for the end of its ranks"
                self.evidence.lost_reason = reason_of_loss(kind, payload, awaited)
                say(f"host {name} left the job: {self.evidence.lost_reason}")
            self._end_within(0.0)
        elif kind == "signal":
            self._stop(payload, name)
        elif kind == "message" and payload["type"] == "signal":
            self._stop(payload["signal"], name)
        elif kind == "message" and payload["type"] == "failed":
            say(f"{name}: {payload['text']}")
            self._end_within(0.0)
        elif kind == "message" and payload["type"] == "sshd":
            self._notes.append(f"{name}: its ssh server ended with return code {payload['returncode']}")
            say(self._notes[-1])

    def _stop(self, number: int, name: str) -> None:
        """Every rank gets the signal and its time to write a checkpoint; whoever signals twice is in a hurry."""
        if self.evidence.stop_signal:
            if name == self.evidence.stopped_on:
                self._end_within(0.0)
            return
        self.evidence.stop_signal, self.evidence.stopped_on = number, name
        grace = stop_grace() if self._output.has_ranks else 0.0
        self._output.stop_ranks(number)
        if self._rendezvous is not None:
            self._rendezvous.send_all({"type": "stop", "signal": number})
        self._end_within(grace)

    def _end_within(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        self._end_at = at if self._end_at is None else min(at, self._end_at)

    def _press_on(self, mpirun: subprocess.Popen[bytes]) -> None:
        if self._kill_at is None:
            if mpirun.poll() is None:
                mpirun.terminate()
            self._kill_at = time.monotonic() + END_SECONDS
            return
        processes.end(mpirun, grace=0)
        self._kill_at = self._end_at = None

    def _wait(self) -> None:
        assert self._mpirun is not None
        self.host.events.put(("mpirun", self.host.name, self._mpirun.wait()))
