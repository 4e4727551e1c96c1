"""``shardyard.doctor``."""

from __future__ import annotations

from shardyard.doctor.base import Report
from shardyard.doctor.checks import all_checks
from shardyard.doctor.examine import examine


def doctor(*, fix: bool = False) -> list[Report]:
    """What this machine has and lacks. ``fix`` makes the cache folder and installs missing packages into the active
    virtual environment; it does nothing as root, nothing to the system, and deletes nothing."""
    return examine(all_checks(), fix)
