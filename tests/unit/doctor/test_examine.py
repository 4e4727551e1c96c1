from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shardyard.doctor.base import Repair, Report
from shardyard.doctor.checks import all_checks
from shardyard.doctor.examine import examine
from shardyard.doctor.folders import Cache
from shardyard.doctor.packages import Mpi


class Broken:
    name = "broken"

    def __init__(self, repairable: bool) -> None:
        self.repairable, self.ok = repairable, False

    def look(self) -> Report:
        return Report(self.name, self.ok, "found", "" if self.ok else "type this")

    def fix(self) -> Repair:
        self.ok = self.repairable
        return Repair(self.repairable, "did it" if self.repairable else "must not")


def test_without_fix_nothing_is_repaired() -> None:
    (report,) = examine([Broken(True)])
    assert (report.ok, report.remedy, report.fixed) == (False, "type this", False)


def test_fix_repairs_where_it_can() -> None:
    (report,) = examine([Broken(True)], fix=True)
    assert (report.ok, report.fixed, report.repair) == (True, True, "did it")


def test_fix_leaves_the_rest_with_its_remedy() -> None:
    (report,) = examine([Broken(False)], fix=True)
    assert (report.ok, report.remedy) == (False, "type this")
    assert (report.fixed, report.repair) == (False, "must not")


def test_every_failed_check_has_a_remedy() -> None:
    reports = examine(all_checks())
    assert [r.name for r in reports] == ["python", "docker", "credentials", "disk", "cache", "mpi", "direct"]
    assert all(r.ok or r.remedy for r in reports)


def test_fix_makes_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDYARD_CACHE", str(tmp_path / "made/here"))
    (before,) = examine([Cache()])
    assert (before.ok, before.remedy) == (False, f"mkdir -p {tmp_path}/made/here")
    (report,) = examine([Cache()], fix=True)
    assert (report.ok, report.fixed, report.repair) == (True, True, f"made {tmp_path}/made/here")


def test_fix_leaves_what_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("SHARDYARD_CACHE", str(tmp_path / "file"))
    (report,) = examine([Cache()], fix=True)
    assert (report.ok, report.fixed, report.remedy) == (
        False,
        False,
        "set SHARDYARD_CACHE to one that you may",
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_fix_installs_nothing_into_the_systems_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    repair = Mpi().fix()
    assert not repair.done
    assert "no virtual environment" in repair.said
