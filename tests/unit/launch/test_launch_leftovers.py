"""Folders, processes, memory and disk space: what must not stay, or must not be missing at the end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shardyard_runtime.launch import reserve, run_folder, timeouts
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.memory import MemoryWatch
from shardyard_runtime.launch.outcome import Outcome

MAKE = "from shardyard_runtime.launch import run_folder; print(run_folder.make(), flush=True); input()"
ORPHAN = """
import subprocess, sys
from shardyard_runtime.launch import prctl, processes
prctl.adopt_orphans()
daemon = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nprint(os.getpid(), flush=True)\\ntime.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE)
daemon = int(child.stdout.readline())
child.wait()
assert processes.descendants() == [daemon]
processes.end_descendants()
assert processes.descendants() == []
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_the_folder_of_a_killed_launcher_goes_at_the_next_start(temporary: Path) -> None:
    command = [sys.executable, "-c", MAKE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        foreign = temporary / "shardyard-demo"
        foreign.mkdir()
        first = run_folder.make()
        assert theirs.is_dir()
        other.kill()
        other.wait()
        second = run_folder.make()
    assert not theirs.exists()
    assert foreign.is_dir()  # no lock of a launcher in it
    assert first.is_dir()
    for folder in (first, second):
        run_folder.remove(folder)
        assert not folder.exists()


def test_a_daemon_that_left_its_parent_is_ended() -> None:
    subprocess.run([sys.executable, "-c", ORPHAN], check=True)


@pytest.mark.parametrize(
    ("counters", "limit"),
    [
        ("memory.events", "memory.max"),
        ("memory/memory.oom_control", "memory/memory.limit_in_bytes"),
    ],
)
def test_kills_for_lack_of_memory_are_counted(tmp_path: Path, counters: str, limit: str) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / counters).write_text("oom 9\noom_kill 2\n")
    (tmp_path / limit).write_text(str(256 << 20))
    watch = MemoryWatch(tmp_path)
    assert watch.note("algo-2") == ""
    (tmp_path / counters).write_text("oom 9\noom_kill 3\n")
    assert "ended 1 process(es) on algo-2 at the container's limit of 256 MiB" in watch.note("algo-2")
    (tmp_path / limit).write_text("max")
    assert "on algo-2. Give" in watch.note("algo-2")


def test_no_control_groups_no_note(tmp_path: Path) -> None:
    assert MemoryWatch(tmp_path).note("algo-1") == ""


def test_the_reserve_makes_room_for_the_failure(tmp_path: Path) -> None:
    reserve.take(tmp_path)
    assert (tmp_path / "output" / reserve.NAME).stat().st_size == reserve.BYTES
    Outcome(1, "why").write(tmp_path)
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["failure"]


def test_time_limits_of_the_environment() -> None:
    for text, seconds in ((None, 60), ("3", 3), ("0.5", 0.5)):
        environ = {"SHARDYARD_HOST_TIMEOUT": text} if text else {}
        timeouts.check(environ)
        assert timeouts.host_timeout(environ) == seconds
    assert timeouts.stop_grace({}) == 110


@pytest.mark.parametrize("text", ["x", "-1", "0", "inf", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(LaunchError, match=f"SHARDYARD_STOP_GRACE is '{text}'"):
        timeouts.check({"SHARDYARD_STOP_GRACE": text, "SHARDYARD_HOST_TIMEOUT": "3"})


def test_no_folder_for_temporary_files(temporary: Path) -> None:
    temporary.rmdir()
    tempfile.tempdir = str(temporary)
    with pytest.raises(LaunchError, match=r"finds no folder for its own files: .*No such file") as caught:
        run_folder.make()
    assert caught.value.exit_code == 3
