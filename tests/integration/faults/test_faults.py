"""Every fault of the matrix ends every host in time, with a true exit code and the cause in the failure file."""

from __future__ import annotations

import re
from concurrent.futures import Future

import pytest

from tests.integration.faults import conftest
from tests.integration.faults.matrix import FAULTS, Fault
from tests.integration.faults.run import Result

pytestmark = pytest.mark.testbed


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, started: dict[str, Future[Result]]) -> None:
    result = started[fault.name].result()
    report = result.report
    others = [host for host in report.logs if host not in fault.spared]
    first = report.failures[others[0]].partition("\n")[0]
    conftest.measured.append(
        f"| {fault.name} | {fault.bound:g} × {result.crowd:.1f} | {result.seconds:.1f} | {fault.code} | {first[:150]} |"
    )
    assert {host: report.codes.get(host) for host in others} == dict.fromkeys(others, fault.code), (
        report.everything
    )
    for host in others:
        assert re.match(fault.text, report.failures[host]), f"{host}: {report.failures[host]}"
        assert "LEFT BEHIND: []" in report.logs[host], report.everything
        assert "LEFT FOLDERS" not in report.logs[host], report.everything
    for text, count in fault.in_log:
        assert report.logs["algo-1"].count(text) == count, report.everything
    # On a machine with more to do than cores, everything takes longer by that; a hang takes longer still.
    assert result.seconds <= fault.bound * result.crowd, report.everything
