from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest

from shardyard.local.spec import INTERRUPTED, TIMED_OUT, JobResult, TimeLimit
from shardyard.local.supervise import stop_all, supervise


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
    hosts: list[FakeHost], limit: TimeLimit | None = None, grace: float = 60
) -> tuple[JobResult, list[str]]:
    said: list[str] = []
    return supervise(hosts, lambda host, line: said.append(f"{host} {line}"), limit, grace), said


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


def test_the_limit_that_ended_the_job_is_said() -> None:
    result, said = run([FakeHost("algo-1", 0, 999)], TimeLimit(0.2, "max_run", 7))
    assert result.timed_out
    assert result.job_exit_code == TIMED_OUT
    assert TIMED_OUT != INTERRUPTED
    assert result.as_dict()["time_limit"] == "max_run"
    assert "algo-1 shardyard: stopping this host: the max_run of 0.2 s is over" in said


def test_every_host_has_the_whole_grace() -> None:
    together = threading.Barrier(3, timeout=20)

    class Slow(FakeHost):
        def stop(self, grace_s: float) -> None:
            together.wait()  # breaks unless all three are stopped at once
            super().stop(grace_s)

    hosts = [Slow(f"algo-{i}", 0, 999) for i in range(3)]
    stop_all(hosts, 1)
    assert all(host.stopped for host in hosts)


def test_a_log_that_is_still_coming_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardyard.local.supervise.QUIET_S", 0.5)

    class Talkative(FakeHost):
        def chunks(self) -> Iterable[bytes]:
            for i in range(20):
                time.sleep(0.1)  # 2 s in all: longer than the silence that is waited for
                yield b"%d\n" % i

    _, said = run([Talkative("algo-1", 0, 0)])
    assert said == [f"algo-1 {i}" for i in range(20)]
