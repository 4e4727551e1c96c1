"""The first host: gathers the others, runs mpirun, and tells everybody how the job ended."""

from __future__ import annotations

import queue
import time
from pathlib import Path

from . import processes, records, ssh
from .control import Message
from .entry import EntryPoint
from .errors import LaunchError
from .evidence import decide
from .host import Host
from .log_link import print_here
from .logs import say
from .meeting import Meeting
from .mpi_options import UserOptions, parse_options
from .mpirun import MpiRun, build_command, check_slots, find_mpirun, mpirun_environment
from .outcome import Outcome
from .rank_output import RankOutput
from .rendezvous import JobEnded, Rendezvous, verdict_message
from .supervision import Supervision

FLUSH_SECONDS = 60.0  # for the rest of a long log, as long as its hosts live
GOODBYE_SECONDS = 2.0
LOST_SECONDS = 0.5  # for the rest of the log once a host was cut off


class Head:
    def __init__(self, host: Host, meeting: Meeting) -> None:
        self.host = host
        self.meeting = meeting
        self.rendezvous = Rendezvous(host, meeting) if len(host.cluster.hosts) > 1 else None
        self._output = RankOutput(host.run_dir, host.name, print_here)
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
        finally:
            processes.end_descendants()
        self._tell(outcome)
        return outcome

    def _run(self, entry: EntryPoint) -> Outcome:
        tool = find_mpirun()
        options = parse_options(self.host.config.hyperparameters.get("sagemaker_mpi_custom_mpi_options"))
        secrets = options.take_secrets()
        for warning in [*options.warnings, *check_slots(self.host, options)]:
            say(f"warning: {warning}")
        plan = self.host.write_plan(entry, local=self.meeting.local)
        for name, value in options.environment.items():
            plan.environment[name] = value
        plan.save(self.host.run_dir)
        ready = self._gather(options)
        run_dirs = [str(self.host.run_dir), *(ready[name]["run_dir"] for name in self.host.cluster.hosts[1:])]
        command = self._command(tool, options, ready, entry)
        variables = mpirun_environment({**plan.environment, **secrets}, run_dirs, self.meeting.local)
        supervision = Supervision(self.host, self.rendezvous, self._output)
        supervision.run(command, variables, tool.tag_separator)
        self._output.wait_for_notes()
        processes.end_descendants()
        self._collect(supervision)
        return decide(supervision.evidence, self.host.cluster)

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
                message["address"] = self.rendezvous.channels[name].peer_address
            ssh_config = ssh.write_client_config(self.host.run_dir, ready)
        command, warnings = build_command(
            tool, self.host.cluster, options, ssh_config, self.host.interface, entry.program
        )
        for warning in warnings:
            say(f"warning: {warning}")
        return command

    def _collect(self, supervision: Supervision) -> None:
        """What ranks left on every host, and the rest of the log."""
        evidence = supervision.evidence
        evidence.records += records.load_all(self.host.run_dir)
        if self.rendezvous is not None:
            self.rendezvous.send_all({"type": "ended"})
        self._output.finish(LOST_SECONDS if evidence.lost_host else FLUSH_SECONDS)
        if self.rendezvous is None:
            return
        waiting = set(self.rendezvous.channels) - supervision.gone
        deadline = time.monotonic() + (LOST_SECONDS if evidence.lost_host else FLUSH_SECONDS)
        while waiting:
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if kind == "message" and payload["type"] == "records":
                evidence.records += [records.FailureRecord(**item) for item in payload["records"]]
                waiting.discard(name)
            elif kind in {"closed", "silent"}:
                supervision.note(kind, name, payload)
                waiting.discard(name)
        self.rendezvous.logs.finish(LOST_SECONDS if evidence.lost_host else FLUSH_SECONDS)

    def _tell(self, outcome: Outcome) -> None:
        """Sends the verdict and waits a little until every worker has it and hangs up."""
        if self.rendezvous is None:
            return
        verdict = verdict_message(outcome)
        self.rendezvous.send_all(verdict)
        waiting = {name for name, channel in self.rendezvous.channels.items() if channel.is_open}
        deadline = time.monotonic() + GOODBYE_SECONDS
        while waiting:
            try:
                kind, name, payload = self.host.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if kind == "hello":  # a late one must not wait for its time limit
                payload[0].send(verdict)
                self.rendezvous.channels[name] = payload[0]
            elif kind in {"closed", "silent"}:
                waiting.discard(name)
        self.rendezvous.close()
