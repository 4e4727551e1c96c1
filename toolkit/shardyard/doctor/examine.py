"""Runs checks, with repair where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shardyard.doctor.base import Check, Report


def examine(checks: Sequence[Check], fix: bool = False) -> list[Report]:
    """One report a check. With `fix` a failed check is repaired where it can be, then looked at again."""
    reports = []
    for check in checks:
        report = check.look()
        if fix and not report.ok and check.fix():
            again = check.look()
            report = replace(again, fixed=again.ok)
        reports.append(report)
    return reports
