"""Child processes that do not outlive their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .errors import LaunchError
from .prctl import die_with_parent


def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a process in a group of its own, so that all of the group can be ended."""
    try:
        return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options)
    except OSError as error:
        raise LaunchError(
            f"{command[0]!r} cannot be started: {error.strerror}. See that its first line names an interpreter of "
            "this image, and that hyperparameters and variables are not larger than the system takes.",
            exit_code=126,
        ) from error


def end(process: subprocess.Popen[bytes], grace: float = 2.0) -> int:
    """Asks the process to end, then ends its whole group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def end_descendants(timeout: float = 2.0) -> None:
    """Kills everything that this process started or adopted, until nothing of it runs."""
    deadline = time.monotonic() + timeout
    while (found := descendants()) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def descendants() -> list[int]:
    """Processes below this one that still run, as the kernel lists them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = entry.read_text("utf-8", errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
