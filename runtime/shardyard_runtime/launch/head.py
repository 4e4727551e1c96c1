"""The first host: gathers the others, runs mpirun, and tells everybody how the job ended."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import processes, records, ssh
from .control import Message
from .entry import EntryPoint
from .errors import LaunchError
from .host import Host
from .logs import LogPump, say
from .meeting import Meeting
from .mpi_options import UserOptions, parse_options
from .mpirun import MpiRun, build_command, find_mpirun, mpirun_environment
from .outcome import Outcome
from .rendezvous import JobEnded, Rendezvous
from .verdict import Evidence, decide

STOP_SECONDS = 5.0  # how long ranks may take to end after SIGTERM
RECORD_SECONDS = 5.0
LOST_SECONDS = 1.0  # how long mpirun may take to end after a host was lost


class Head:
    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self.meeting = meeting
        self.rendezvous = Rendezvous(host, meeting) if len(host.cluster.hosts) > 1 else None
        self.evidence = Evidence()
        self._gone: set[str] = set()
        self._met = False

    def refuse(self, problem: LaunchError) -> None:
        if self.rendezvous is not None:
            self.rendezvous.refuse_all(Outcome(problem.exit_code, f"{self.host.name}: {problem}\n"))
            self.rendezvous.close()

    def run(self, entry: EntryPoint) -> Outcome:
        try:
            outcome = self._run(entry)
        except JobEnded as ended:
            outcome = ended.outcome
        except LaunchError as error:
            if not self._met:
                self.refuse(error)
                raise
            outcome = Outcome(error.exit_code, f"{error}\n")
        self._tell(outcome)
        return outcome

    def _run(self, entry: EntryPoint) -> Outcome:
        tool = find_mpirun()
        options = parse_options(self.host.config.hyperparameters.get("sagemaker_mpi_custom_mpi_options"))
        plan = self.host.write_plan(entry, local=self.meeting.local)
        for name, value in options.environment.items():
            plan.environment[name] = value
        plan.save(self.host.run_dir)
        ready = self._gather(options)
        run_dirs = [str(self.host.run_dir), *(ready[name]["run_dir"] for name in self.host.cluster.hosts[1:])]
        command = self._command(tool, options, ready, entry)
        variables = mpirun_environment(plan.environment, run_dirs, self.meeting.local)
        self._supervise(command, variables, tool.tag_separator)
        self._collect_records()
        return decide(self.evidence, self.host.cluster)

    def _gather(self, options: UserOptions) -> dict[str, Message]:
        if self.rendezvous is None:
            return {}
        welcome: Message = {"type": "welcome", "public_key": "", "environment": options.environment}
        if not self.meeting.local:
            welcome["public_key"] = ssh.make_key(self.host.run_dir / "identity")
        self._met = True
        return self.rendezvous.gather(welcome)

    def _command(
        self, tool: MpiRun, options: UserOptions, ready: dict[str, Message], entry: EntryPoint
    ) -> list[str]:
        ssh_config: Path | None = None
        if ready and not self.meeting.local and self.rendezvous is not None:
            for name, message in ready.items():
                address = self.rendezvous.channels[name].peer_address
                message["address"] = address.removeprefix("::ffff:")
            ssh_config = ssh.write_client_config(self.host.run_dir, ready)
        command, warnings = build_command(
            tool, self.host.cluster, options, ssh_config, self.host.interface, entry.program
        )
        for warning in warnings:
            say(f"warning: {warning}")
        return command

    def _supervise(self, command: list[str], variables: dict[str, str], separator: str) -> None:
        pipe = subprocess.PIPE
        mpirun = processes.start(
            command, env=variables, cwd=self.host.run_dir, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        pump = LogPump(self.host.cluster.host_of, separator)
        assert mpirun.stdout is not None
        assert mpirun.stderr is not None
        pump.follow(mpirun.stdout, sys.stdout)
        pump.follow(mpirun.stderr, sys.stderr)
        threading.Thread(target=self._wait, args=(mpirun,), daemon=True).start()
        kill_at: float | None = None
        while True:
            left = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            try:
                kind, name, payload = self.host.events.get(timeout=left)
            except queue.Empty:
                processes.end(mpirun, grace=0)
                kill_at = None
                continue
            if kind == "mpirun":
                self.evidence.returncode = payload
                break
            if self._note(kind, name, payload) and kill_at is None:
                kill_at = time.monotonic() + (STOP_SECONDS if self.evidence.stop_signal else LOST_SECONDS)
                if mpirun.poll() is None:
                    mpirun.terminate()
        processes.end(mpirun, grace=0)
        # The ssh to a host that was cut off keeps our pipes open for a while.
        pump.finish(0.3 if self.evidence.lost_host else 5.0)
        self.evidence.own_words = list(pump.own_words)

    def _wait(self, mpirun: subprocess.Popen[bytes]) -> None:
        self.host.events.put(("mpirun", self.host.name, mpirun.wait()))

    def _note(self, kind: str, name: str, payload: Any) -> bool:
        """Keeps what an event means for the outcome; true when the job has to end."""
        if kind == "closed":
            self._gone.add(name)
            if not self.evidence.lost_host:
                self.evidence.lost_host, self.evidence.lost_at = name, time.time()
            return True
        if kind == "signal" or (kind == "message" and payload["type"] == "signal"):
            number = payload if kind == "signal" else payload["signal"]
            if not self.evidence.stop_signal:
                self.evidence.stop_signal, self.evidence.stopped_on = number, name
            return True
        if kind == "message" and payload["type"] == "failed":
            say(f"{name}: {payload['text']}")
            return True
        return False

    def _collect_records(self) -> None:
        self.evidence.records += records.load_all(self.host.run_dir)
        if self.rendezvous is None:
            return
        self.rendezvous.send_all({"type": "ended"})
        waiting = set(self.rendezvous.channels) - self._gone
        deadline = time.monotonic() + RECORD_SECONDS
        while waiting:
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if kind == "message" and payload["type"] == "records":
                self.evidence.records += [records.FailureRecord(**item) for item in payload["records"]]
                waiting.discard(name)
            elif kind == "closed":
                self._note(kind, name, payload)
                waiting.discard(name)

    def _tell(self, outcome: Outcome) -> None:
        """Sends the verdict and waits a little until every worker has it and hangs up."""
        if self.rendezvous is None:
            return
        verdict = {"type": "verdict", "exit_code": outcome.exit_code, "text": outcome.text}
        self.rendezvous.send_all(verdict)
        waiting = set(self.rendezvous.channels) - self._gone
        deadline = time.monotonic() + 2
        while waiting:
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if kind == "hello":  # a late one must not wait for its time limit
                payload[0].send(verdict)
                self.rendezvous.channels.setdefault(name, payload[0])
            if kind == "closed":
                waiting.discard(name)
        self.rendezvous.close()
