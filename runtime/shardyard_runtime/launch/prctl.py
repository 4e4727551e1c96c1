"""Whose death a process follows, and whose children it adopts: what only Linux offers."""

from __future__ import annotations

import ctypes
import signal
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
try:
    _LIBC: Any = ctypes.CDLL(None)
    _LIBC.prctl  # noqa: B018  # looked up now: a child between fork and exec must not load anything
except (OSError, AttributeError):
    _LIBC = None


def die_with_parent() -> None:
    """The kernel kills this process when the one that started it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """A daemon that a descendant leaves behind becomes a child of this process, which can end it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
