"""From everything known at the end to the one outcome that all hosts report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .cluster import Cluster
from .exit_codes import exit_status, signal_name
from .outcome import Outcome
from .records import LIMIT, FailureRecord, root_cause
from .verdict import lost, stopped

_BY_SIGNAL = re.compile(r"process rank (\d+) with PID .*? exited on\s+signal (\d+)", re.DOTALL)
_BY_CODE = re.compile(r"Process name: \[.*?,\s*(\d+)\]\s+Exit code:\s+(\d+)", re.DOTALL)
_BY_DAEMON = re.compile(
    r"lost communication with a remote daemon.*?Remote daemon\s*:[^\n]*? on node (\S+)", re.DOTALL
)
_BY_ABORT = re.compile(r"MPI_ABORT was invoked on rank (\d+) .*?with errorcode (-?\d+)", re.DOTALL)


@dataclass
class Evidence:
    returncode: int = 0
    records: list[FailureRecord] = field(default_factory=list)
    own_words: list[str] = field(default_factory=list)  # what mpirun itself said
    stopped_on: str = ""
    stop_signal: int = 0
    lost_host: str = ""
    lost_at: float = 0.0
    lost_reason: str = ""


def decide(evidence: Evidence, cluster: Cluster) -> Outcome:
    first = root_cause(evidence.records)
    if first is not None and first.follow_up:
        cause, follow_up = None, first
    else:
        cause, follow_up = first, None
    if evidence.lost_host and not (cause and cause.time < evidence.lost_at):
        return lost(evidence.lost_host, evidence.lost_reason)
    if evidence.stop_signal:
        return stopped(evidence.stop_signal, evidence.stopped_on, evidence.records)
    if cause is not None:
        return Outcome(cause.exit_code, cause.text())
    if evidence.returncode == 0 and follow_up is None:
        return Outcome(0)
    code = exit_status(evidence.returncode)
    if evidence.returncode < 0:
        return Outcome(code, f"mpirun on {cluster.head}: ended by {signal_name(-evidence.returncode)}\n")
    crash = _crash(evidence.own_words, cluster)
    if crash is not None:
        return crash
    if follow_up is not None:
        return Outcome(follow_up.exit_code, follow_up.text())
    said = "\n".join(line for line in evidence.own_words if line.strip(" -"))
    return Outcome(code, f"mpirun ended with exit code {code}:\n{said[-LIMIT + 60 :]}\n")


def _crash(own_words: list[str], cluster: Cluster) -> Outcome | None:
    """A rank that left no record ended without Python's knowledge; mpirun says how."""
    said = "\n".join(own_words)
    if found := _BY_DAEMON.search(said):  # its ranks went with it, without a word
        return lost(found[1], "mpirun lost its daemon there, which somebody killed or which failed")
    if found := _BY_ABORT.search(said):
        rank, code = int(found[1]), int(found[2]) & 0xFF or 1
        return Outcome(code, f"rank {rank} on {cluster.host_of(rank)}: called MPI_Abort({found[2]})\n")
    if found := _BY_SIGNAL.search(said):
        rank, number = int(found[1]), int(found[2])
        return Outcome(
            128 + number, f"rank {rank} on {cluster.host_of(rank)}: ended by {signal_name(number)}\n"
        )
    if found := _BY_CODE.search(said):
        rank, code = int(found[1]), int(found[2])
        return Outcome(code, f"rank {rank} on {cluster.host_of(rank)}: ended with exit code {code}\n")
    return None
