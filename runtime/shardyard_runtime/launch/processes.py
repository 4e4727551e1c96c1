"""Child processes that do not outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
try:
    _LIBC: Any = ctypes.CDLL(None)
    _LIBC.prctl  # noqa: B018  # looked up now: a child between fork and exec must not load anything
except (OSError, AttributeError):
    _LIBC = None


def die_with_parent() -> None:
    """On Linux the kernel kills this process when the one that started it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """On Linux a daemon that a descendant leaves behind becomes a child of this process, which can end it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a process in a group of its own, so that all of the group can be ended."""
    return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options)


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
