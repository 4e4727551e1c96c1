from __future__ import annotations

import time
from collections.abc import Iterable

from shardyard.local.spec import INTERRUPTED, TIMED_OUT, JobResult
from shardyard.local.supervise import supervise


class FakeHost:
    def __init__(self, name: str, code: int, after_s: float) -> None:
        self.name, self.code, self.end = name, code, time.monotonic() + after_s
        self.stopped = False

    def chunks(self) -> Iterable[bytes]:
        return [b"hello\n"]

    def poll(self) -> int | None:
        if self.stopped:
            return 143
        return self.code if time.monotonic() > self.end else None

    def stop(self, grace_s: float) -> None:
        self.stopped = True


def run(
    hosts: list[FakeHost], timeout: float | None = None, grace: float = 60
) -> tuple[JobResult, list[str]]:
    said: list[str] = []
    return supervise(hosts, lambda host, line: said.append(f"{host} {line}"), timeout, grace), said


def test_all_are_waited_for() -> None:
    result, said = run([FakeHost("algo-1", 0, 0), FakeHost("algo-2", 0, 0.3)])
    assert result.exit_codes == {"algo-1": 0, "algo-2": 0}
    assert result.job_exit_code == 0
    assert sorted(said) == ["algo-1 hello", "algo-2 hello"]


def test_the_first_failure_gives_the_code() -> None:
    result, _ = run([FakeHost("algo-1", 1, 0.4), FakeHost("algo-2", 7, 0)])
    assert (result.failed_host, result.job_exit_code) == ("algo-2", 7)


def test_no_host_outlives_a_failure_for_ever() -> None:
    result, said = run([FakeHost("algo-1", 3, 0), FakeHost("algo-2", 0, 999)], grace=0.2)
    assert result.job_exit_code == 3
    assert not result.timed_out
    assert any("algo-1 has failed" in line for line in said)


def test_timeout() -> None:
    result, _ = run([FakeHost("algo-1", 0, 999)], timeout=0.2)
    assert result.timed_out
    assert result.job_exit_code == TIMED_OUT
    assert TIMED_OUT != INTERRUPTED
