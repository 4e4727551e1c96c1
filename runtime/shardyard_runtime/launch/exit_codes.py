"""What a process ended with, as a shell tells it."""

from __future__ import annotations

import signal


def exit_status(returncode: int) -> int:
    """A process ended by signal n counts as 128+n, as in every shell."""
    return 128 - returncode if returncode < 0 else returncode


def signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
