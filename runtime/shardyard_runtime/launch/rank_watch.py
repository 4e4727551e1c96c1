"""The process that mpirun started, beside the one that runs the user's program: it sees how that one ends.

Nobody else can tell: mpirun names the rank that it noticed first, which may be one that failed because a peer had
gone, and a process ended by a signal leaves no word itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from . import prctl, records
from .exit_codes import exit_status, signal_name
from .memory import MemoryWatch

# MPI_ERR_UNKNOWN, with which Open MPI 5 ends a process whose peer closed its connection.
PEER_IS_GONE = 14
TOLD = (signal.SIGTERM, signal.SIGINT)  # held back until both processes are there for them


def split(rank: int, host: str, folder: Path) -> None:
    """Returns in the process that is to run the program; the other one waits for its end."""
    memory = MemoryWatch()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    child = os.fork()
    if child:
        _wait(child, rank, host, folder, memory)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    prctl.die_with_parent()
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def _wait(child: int, rank: int, host: str, folder: Path, memory: MemoryWatch) -> NoReturn:
    told: list[int] = []
    is_leader = os.getpgrp() == os.getpid()

    def on_signal(number: int, _: object) -> None:
        """mpirun wants all ranks to end, and tells the whole group; what follows is no cause."""
        told.append(number)
        if not is_leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    for number in TOLD:
        signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
    returncode = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if returncode and not records.path_of(rank, folder).exists():
        with contextlib.suppress(OSError):
            records.save(_record(returncode, rank, host, memory, bool(told)), folder)
    os._exit(exit_status(returncode))


def _record(returncode: int, rank: int, host: str, memory: MemoryWatch, told: bool) -> records.FailureRecord:
    how, why = f"ended with exit code {returncode}", ""
    # mpirun hears of a lost connection, and tells all to end, before this process hears of its child.
    has_crashed = returncode < 0 and -returncode not in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
    if returncode < 0:
        how = f"ended by {signal_name(-returncode)}"
    if returncode == -signal.SIGKILL:
        why = (
            memory.note(host)
            or "somebody killed it, or the machine ran out of memory (its container did not)"
        )
    return records.FailureRecord(
        time=time.time(),
        rank=rank,
        host=host,
        exception=how,
        message=why,
        exit_code=exit_status(returncode),
        follow_up=(told and not has_crashed) or returncode in (-signal.SIGTERM, PEER_IS_GONE),
    )
