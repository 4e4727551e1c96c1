from __future__ import annotations

from shardyard.doctor.base import Report
from shardyard.doctor.checks import all_checks
from shardyard.doctor.examine import examine


class Broken:
    name = "broken"

    def __init__(self, repairable: bool) -> None:
        self.repairable, self.ok = repairable, False

    def look(self) -> Report:
        return Report(self.name, self.ok, "found", "" if self.ok else "type this")

    def fix(self) -> bool:
        self.ok = self.repairable
        return self.repairable


def test_without_fix_nothing_is_repaired() -> None:
    (report,) = examine([Broken(True)])
    assert (report.ok, report.remedy, report.fixed) == (False, "type this", False)


def test_fix_repairs_where_it_can() -> None:
    (report,) = examine([Broken(True)], fix=True)
    assert (report.ok, report.fixed) == (True, True)


def test_fix_leaves_the_rest_with_its_remedy() -> None:
    (report,) = examine([Broken(False)], fix=True)
    assert (report.ok, report.remedy) == (False, "type this")


def test_every_failed_check_has_a_remedy() -> None:
    reports = examine(all_checks())
    assert [r.name for r in reports] == ["python", "docker", "credentials", "disk", "mpi"]
    assert all(r.ok or r.remedy for r in reports)
