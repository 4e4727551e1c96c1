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
from .errors import LaunchError
from .host import Host
from .logs import Pump
from .outcome import exit_status
from .timeouts import stop_grace


@dataclass(frozen=True)
class End:
    exit_code: int
    last_words: str
    stop_signal: int = 0
    detail: str = ""  # how the program took the signal


def run(
    host: Host,
    command: list[str],
    environment: dict[str, str],
    cwd: str,
    *,
    whole_group: bool,
    on_stop: Callable[[int], None],
) -> End:
    """`whole_group`: a shell does not hand signals on to what it started, so all of them get it."""
    pipe = subprocess.PIPE
    try:
        process = processes.start(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        raise LaunchError(
            f"{command[0]!r} cannot be started: {error.strerror}. See that its first line names an interpreter of "
            "this image, and that hyperparameters and variables are not larger than the system takes.",
            exit_code=126,
        ) from error
    assert process.stdout is not None
    assert process.stderr is not None
    pump = Pump()
    pump.follow(process.stdout, sys.stdout)
    pump.follow(process.stderr, sys.stderr, remember=True)
    threading.Thread(target=_wait, args=(host, process), daemon=True).start()
    received, deadline, began = 0, 0.0, 0.0
    while True:
        try:
            left = max(0.0, deadline - time.monotonic()) if received else None
            kind, _, payload = host.events.get(timeout=left)
        except queue.Empty:
            code = exit_status(processes.end(process, grace=0))
            detail = f"The program did not end within {stop_grace():g} s and was killed."
            return End(code, pump.finish(), received, detail)
        if kind == "ended":
            break
        if kind == "signal":
            if not received:
                received, began = payload, time.monotonic()
                deadline = began + stop_grace()
                on_stop(payload)
            _send(process, payload, whole_group)
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
