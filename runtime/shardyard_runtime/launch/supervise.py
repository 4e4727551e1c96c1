"""Follows one child to its end, and hands the platform's signals on to it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import processes
from .exit_codes import exit_status
from .host import Event, Host
from .logs import Pump
from .timeouts import stop_grace

END_SECONDS = 2.0  # for a program that has to end because the job is over


@dataclass(frozen=True)
class End:
    exit_code: int
    last_words: str
    stop_signal: int = 0
    detail: str = ""  # how the program took the signal
    was_ended: bool = False  # because something else ended the job


def run(
    host: Host,
    command: list[str],
    environment: dict[str, str],
    cwd: str,
    *,
    whole_group: bool,
    on_stop: Callable[[int], None],
    react: Callable[[Event], int] = lambda event: 0,
) -> End:
    """`whole_group`: a shell does not hand signals on to what it started, so all of them get it.

    `react` tells what any other event means for the program: a signal, or 0.
    """
    pipe = subprocess.PIPE
    process = processes.start(
        command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    assert process.stderr is not None
    pump = Pump()
    pump.follow(process.stdout, sys.stdout)
    pump.follow(process.stderr, sys.stderr, remember=True)
    threading.Thread(target=_wait, args=(host, process), daemon=True).start()
    received, deadline, began = 0, 0.0, 0.0
    has_own = False  # the same stop may come from another host first
    while True:
        try:
            left = max(0.0, deadline - time.monotonic()) if received else None
            event = host.events.get(timeout=left)
        except queue.Empty:
            code = exit_status(processes.end(process, grace=0))
            detail = f"The program did not end within {stop_grace():g} s and was killed."
            return End(code, pump.finish(), received, detail)
        if event[0] == "ended":
            break
        is_own = event[0] == "signal"
        number = event[2] if is_own else react(event)
        if number == signal.SIGKILL:
            code = exit_status(processes.end(process, END_SECONDS))
            return End(code, pump.finish(), received, was_ended=True)
        if number and not received:
            received, began = number, time.monotonic()
            deadline = began + stop_grace()
            on_stop(number)
            _send(process, number, whole_group)
        elif number and is_own and has_own:  # whoever signals twice is in a hurry
            _send(process, number, whole_group)
        has_own |= is_own
    if received and whole_group:
        pump.wait(max(0.0, deadline - time.monotonic()))  # the streams end with the last of the group
    processes.end(process, grace=0)
    code = exit_status(process.returncode)
    if not received:
        return End(code, pump.finish())
    took = time.monotonic() - began
    how = f"The program ended {took:.1f} s later with exit code {code}."
    return End(code, pump.finish(), received, how)


def _send(process: subprocess.Popen[bytes], number: int, whole_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(signal.Signals(number))


def _wait(host: Host, process: subprocess.Popen[bytes]) -> None:
    host.events.put(("ended", host.name, process.wait()))
