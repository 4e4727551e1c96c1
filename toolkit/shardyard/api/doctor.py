"""``shardyard.doctor``."""

from __future__ import annotations

from shardyard.doctor.base import Report
from shardyard.doctor.checks import all_checks
from shardyard.doctor.examine import examine


def doctor(*, fix: bool = False) -> list[Report]:
    """What this machine has and lacks; with ``fix`` what can be repaired is."""
    return examine(all_checks(), fix)
