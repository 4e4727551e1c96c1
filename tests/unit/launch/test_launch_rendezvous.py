"""How hosts find each other, and what the head does about those that it does not know or that disagree."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardyard_runtime.launch import arrival, timeouts
from shardyard_runtime.launch.cluster import Cluster
from shardyard_runtime.launch.config import JobConfig
from shardyard_runtime.launch.control import CLOSED, Channel
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.host import Host
from shardyard_runtime.launch.meeting import LocalMeeting, NetworkMeeting
from shardyard_runtime.launch.outcome import Outcome
from shardyard_runtime.launch.rendezvous import JobEnded, Rendezvous

HOSTS = ("algo-1", "algo-2")
WELCOME = {"type": "welcome"}


def make_host(base: Path, name: str, per_host: int = 2) -> Host:
    folder = base / name
    folder.mkdir(exist_ok=True)
    resource = {"hosts": list(HOSTS), "current_host": name}
    return Host(JobConfig(folder, {}, resource), Cluster(HOSTS, per_host), folder)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "HOST_TIMEOUT", 5.0)


@pytest.fixture
def meeting(tmp_path: Path) -> LocalMeeting:
    return LocalMeeting(tmp_path)


@pytest.fixture
def head(tmp_path: Path, meeting: LocalMeeting) -> Iterator[Rendezvous]:
    made = Rendezvous(make_host(tmp_path, "algo-1"), meeting)
    yield made
    made.close()


def arrive(tmp_path: Path, name: str = "algo-2", per_host: int = 2, timeout: float = 5.0) -> Channel:
    return arrival.find_head(make_host(tmp_path, name, per_host), LocalMeeting(tmp_path), timeout)


def test_a_worker_is_admitted_within_100_ms_of_the_head(tmp_path: Path) -> None:
    took = []
    for _ in range(5):  # the best of some: the machine may be busy
        met: queue.SimpleQueue[float] = queue.SimpleQueue()
        worker = threading.Thread(target=lambda met=met: (arrive(tmp_path), met.put(time.monotonic())))
        worker.start()
        head = Rendezvous(make_host(tmp_path, "algo-1"), LocalMeeting(tmp_path))
        began = time.monotonic()
        took.append(met.get(timeout=5) - began)
        worker.join()
        head.close()
    assert min(took) < 0.1


def test_all_are_ready(tmp_path: Path, head: Rendezvous) -> None:
    channel = arrive(tmp_path)
    channel.send({"type": "ready", "run_dir": "/x"})
    assert head.gather(WELCOME) == {"algo-2": {"type": "ready", "run_dir": "/x"}}
    assert channel.receive(5) == WELCOME


def test_a_missing_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        LaunchError, match=r"'algo-1' did not admit 'algo-2' within 0.2 s \(it was not found\)"
    ):
        arrive(tmp_path, timeout=0.2)


def test_a_missing_worker_is_named(
    tmp_path: Path, meeting: LocalMeeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "HOST_TIMEOUT", 0.2)
    head = Rendezvous(make_host(tmp_path, "algo-1"), meeting)
    with pytest.raises(LaunchError, match=r"Host 'algo-2' did not report to 'algo-1' within 0.2 s"):
        head.gather(WELCOME)
    head.close()


def test_a_worker_that_was_told_something_else_ends_the_job(tmp_path: Path, head: Rendezvous) -> None:
    channel = arrive(tmp_path, per_host=8)
    with pytest.raises(JobEnded) as ended:
        head.gather(WELCOME)
    assert ended.value.outcome.exit_code == 2
    assert "[['algo-1', 'algo-2'], 8], but algo-1 [['algo-1', 'algo-2'], 2]" in ended.value.outcome.text
    channel.close()


def test_a_worker_that_leaves_is_named_with_what_was_awaited(tmp_path: Path, head: Rendezvous) -> None:
    arrive(tmp_path).close()
    with pytest.raises(JobEnded) as ended:
        head.gather(WELCOME)
    assert ended.value.outcome.text.startswith(
        "host algo-2 left the job: its control connection closed while algo-1 waited for Host 'algo-2' to be ready"
    )


def test_a_stranger_is_not_admitted(tmp_path: Path, head: Rendezvous) -> None:
    with pytest.raises(LaunchError, match="does not admit this host"):
        arrive(tmp_path, name="algo-9", timeout=0.2)


def test_a_head_that_cannot_start_says_so(tmp_path: Path, head: Rendezvous) -> None:
    channel = arrive(tmp_path)
    head.refuse_all(Outcome(2, "no"))
    assert channel.receive(5) == {"type": "verdict", "exit_code": 2, "text": "no"}
    head.close()
    assert channel.receive(5) == CLOSED


def test_an_address_must_belong_to_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    meeting = NetworkMeeting("localhost")
    assert meeting.admits("localhost", "127.0.0.1", "")
    assert not meeting.admits("localhost", "203.0.113.9", "")
    assert not meeting.admits("localhost", "203.0.113.9", "")
    assert (
        capsys.readouterr().err.count("203.0.113.9 says it is 'localhost'") == 1
    )  # it tries again and again
