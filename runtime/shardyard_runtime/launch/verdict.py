"""Ends that a launcher itself knows of: a host that was lost, a job that was stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from .outcome import Outcome
from .records import FailureRecord, root_cause


def lost(host: str, reason: str = "") -> Outcome:
    why = reason or "its control connection closed before the job was over"
    text = f"host {host} left the job: {why}. Look at the end of the log of {host}"
    return Outcome(1, f"{text}.\n" if reason else f"{text}: its launcher or its container was ended.\n")


def stopped(number: int, host: str, records: Iterable[FailureRecord] = (), detail: str = "") -> Outcome:
    """`detail` says how the program took it."""
    text = f"{signal.Signals(number).name} reached the launcher on {host}, so the job was stopped.\n"
    text += f"{detail}\n" if detail else ""
    earlier = root_cause([record for record in records if not record.follow_up])
    return Outcome(128 + number, text + (f"\n{earlier.text()}" if earlier else ""))
