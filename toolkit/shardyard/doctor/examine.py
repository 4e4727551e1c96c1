"""Runs checks, with repair where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shardyard.doctor.base import Check, Report


def examine(checks: Sequence[Check], fix: bool = False) -> list[Report]:
    """One report a check. With `fix` a failed check is repaired where it may be, then looked at again."""
    return [_examined(check, fix) for check in checks]


def _examined(check: Check, fix: bool) -> Report:
    report = check.look()
    if report.ok or not fix:
        return report
    repair = check.fix()
    again = check.look() if repair.done else report
    return replace(again, fixed=repair.done and again.ok, repair=repair.said)
