"""What the process that mpirun started notes about the end of the rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shardyard_runtime.launch import records
from shardyard_runtime.launch.cluster import Cluster
from shardyard_runtime.launch.evidence import Evidence, decide
from shardyard_runtime.launch.records import FailureRecord

SPLIT = """
import os, signal, sys, time
from pathlib import Path
from shardyard_runtime.launch.rank_watch import split
split(3, "algo-2", Path(sys.argv[1]))
print(os.getpid(), flush=True)
"""
CLUSTER = Cluster(("algo-1", "algo-2"), 2)


def run(folder: Path, script: str, stop: bool = False) -> tuple[int, list[FailureRecord]]:
    command = [sys.executable, "-c", SPLIT + script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        if stop:
            assert b"ready" in process.stdout.readline() + process.stdout.readline()
            os.killpg(process.pid, signal.SIGTERM)
        code = process.wait(20)
    return code, records.load_all(folder)


@pytest.mark.parametrize(
    ("script", "code", "how"),
    [
        ("sys.exit(9)", 9, "ended with exit code 9"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139, "ended by signal 11 (SIGSEGV)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "ended by signal 9 (SIGKILL)"),
    ],
)
def test_an_end_without_a_word_is_noted(tmp_path: Path, script: str, code: int, how: str) -> None:
    returned, found = run(tmp_path, script)
    assert returned == code
    assert [(record.rank, record.host, record.exception, record.exit_code) for record in found] == [
        (3, "algo-2", how, code)
    ]
    assert not found[0].follow_up


def test_a_clean_end_leaves_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "") == (0, [])


def test_the_words_of_the_rank_itself_stand(tmp_path: Path) -> None:
    (tmp_path / "failure-3.json").write_text("{}")
    command = [sys.executable, "-c", SPLIT + "sys.exit(1)", str(tmp_path)]
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert (tmp_path / "failure-3.json").read_text() == "{}"


def test_what_was_told_to_end_is_no_cause(tmp_path: Path) -> None:
    """mpirun signals the whole group."""
    script = "signal.signal(signal.SIGTERM, lambda *_: os._exit(5))\nprint('ready', flush=True)\nwhile True: time.sleep(0.1)"
    code, found = run(tmp_path, script, stop=True)
    assert code == 5
    assert [record.follow_up for record in found] == [True]


def test_a_crash_is_a_cause_though_mpirun_was_sooner(tmp_path: Path) -> None:
    """mpirun sees the closed connection and tells all to end, before the watcher sees its child."""
    script = """
watcher = os.getppid()
os.kill(watcher, signal.SIGSTOP)
if os.fork() == 0:
    time.sleep(0.2)  # of no consequence: the order is that of the signals
    os.kill(watcher, signal.SIGTERM)
    os.kill(watcher, signal.SIGCONT)
    os._exit(0)
os.kill(os.getpid(), signal.SIGSEGV)
"""
    code, found = run(tmp_path, script)
    assert code == 139
    assert [(record.exception, record.follow_up) for record in found] == [
        ("ended by signal 11 (SIGSEGV)", False)
    ]


def test_who_is_ended_because_a_peer_is_gone_is_no_cause(tmp_path: Path) -> None:
    code, found = run(tmp_path, "os._exit(14)")
    assert code == 14
    assert [record.follow_up for record in found] == [True]
    assert decide(Evidence(14, found), CLUSTER).text == "rank 3 on algo-2: ended with exit code 14\n"


def test_the_ranks_that_went_with_their_daemon_are_no_cause() -> None:
    words = [
        "ORTE has lost communication with a remote daemon.",
        "",
        "  HNP daemon   : [[41193,0],0] on node algo-1",
        "  Remote daemon: [[41193,0],1] on node algo-2",
    ]
    outcome = decide(Evidence(1, [failed(1, 1.0, 143, True)], words), CLUSTER)
    assert outcome.text.startswith("host algo-2 left the job: mpirun lost its daemon there")


def failed(rank: int, time: float, code: int, follow_up: bool = False) -> FailureRecord:
    return FailureRecord(time, rank, "algo-2", f"ended with exit code {code}", "", code, follow_up)


def test_the_first_end_is_the_cause_not_the_one_that_mpirun_names() -> None:
    words = ["  Process name: [[1,1],1]", "  Exit code:    14"]
    evidence = Evidence(14, [failed(1, 2.0, 14), failed(3, 1.0, 139), failed(2, 0.5, 143, True)], words)
    outcome = decide(evidence, CLUSTER)
    assert (outcome.exit_code, outcome.text) == (139, "rank 3 on algo-2: ended with exit code 139\n")


def test_when_mpirun_was_killed_its_ranks_are_no_cause() -> None:
    outcome = decide(Evidence(-signal.SIGKILL, [failed(2, 1.0, 143, True)]), CLUSTER)
    assert (outcome.exit_code, outcome.text) == (137, "mpirun on algo-1: ended by signal 9 (SIGKILL)\n")
