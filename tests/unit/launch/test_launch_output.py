"""What ranks write arrives whole, tagged, and in order, whatever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch import tagged_lines
from shardyard_runtime.launch.rank_output import RankOutput
from shardyard_runtime.launch.tagged_lines import TaggedLines

RANK = """
import os, sys, time
from pathlib import Path
from shardyard_runtime.launch.hand_over import hand_over
hand_over(Path(sys.argv[1]), int(sys.argv[2]), is_command=False)
"""


class Hub:
    """The output of a host, with what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self.grown = threading.Condition()
        self.output = RankOutput(folder, "algo-7", self._print)

    def start(self, rank: int, script: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", RANK + script, str(self.folder), str(rank)]
        return subprocess.Popen(command)

    def wait_for(self, text: bytes) -> None:
        with self.grown:
            assert self.grown.wait_for(lambda: text in self.printed[1], 10)

    def _print(self, stream: int, data: bytes) -> None:
        with self.grown:
            self.printed[stream] += data
            self.grown.notify_all()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    yield made
    made.output.finish(1)


@given(st.lists(st.binary(max_size=40)))
def test_no_byte_is_lost_however_the_stream_is_cut(chunks: list[bytes]) -> None:
    stream = TaggedLines(1, b"[tag]")
    shown = b"".join(stream.take(chunk) for chunk in chunks if chunk) + stream.last()
    whole = b"".join(chunks)
    expected = whole.removesuffix(b"\n").split(b"\n") if whole else []
    assert shown == b"".join(b"[tag]" + line + b"\n" for line in expected)


def test_an_open_line_is_shown_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TaggedLines(1, b"> ")
    assert stream.take(b"10 %\r20 %") == b""
    assert stream.overdue() == b""
    monkeypatch.setattr(tagged_lines, "OPEN_SECONDS", -1.0)
    assert stream.overdue() == b"> 10 %\r20 %\n"


def test_lines_of_many_ranks_keep_their_tags(hub: Hub) -> None:
    script = "for n in range(2000):\n print(sys.argv[2], n, 'x' * (n % 7 * 100))\n"
    for process in [hub.start(rank, script) for rank in (0, 10, 123)]:
        process.wait()
    hub.output.finish()
    lines = hub.printed[1].decode().splitlines()
    for rank in (0, 10, 123):
        tag = f"[1,mpirank:{rank},algo-7]<stdout>:"
        own = [line.removeprefix(tag) for line in lines if line.startswith(tag)]
        assert own == [f"{rank} {n} " + "x" * (n % 7 * 100) for n in range(2000)]


def test_bytes_and_very_long_lines(hub: Hub) -> None:
    script = (
        "os.write(1, bytes(range(11, 256)) + b'\\n' + b'y' * 3_000_000 + b'\\nlast')\nos.write(2, b'err\\n')"
    )
    hub.start(1, script).wait()
    hub.output.finish()
    tag = b"[1,mpirank:1,algo-7]<stdout>:"
    lines = bytes(hub.printed[1]).split(b"\n")
    assert lines == [tag + bytes(range(11, 256)), tag + b"y" * 3_000_000, tag + b"last", b""]
    assert bytes(hub.printed[2]) == b"[1,mpirank:1,algo-7]<stderr>:err\n"


def test_a_child_that_outlives_its_rank_does_not_hold_the_end(hub: Hub) -> None:
    child = "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    hub.start(0, child).wait()
    hub.output.finish(2)
    os.kill(int(hub.printed[1].split(b":")[-1]), signal.SIGKILL)


def test_a_stop_reaches_ranks_and_those_that_come_later(hub: Hub) -> None:
    early = hub.start(0, "print('ready', flush=True)\ntime.sleep(60)")
    hub.wait_for(b"ready")
    hub.output.stop_ranks(signal.SIGTERM)
    late = hub.start(1, "time.sleep(60)")
    assert early.wait(10) == -signal.SIGTERM
    assert late.wait(10) == -signal.SIGTERM


def test_a_long_path_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    hub = Hub(folder)
    hub.start(0, "print('there')").wait()
    hub.output.finish()
    assert bytes(hub.printed[1]).endswith(b":there\n")


def test_without_a_launcher_the_output_stays_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RANK + "print('here')", str(tmp_path), "0"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"here\n"


def test_a_watcher_has_time_to_note_the_end_of_its_rank(hub: Hub) -> None:
    """Nobody waits for ranks that run; of one that has ended, its parent, here the test itself, is waited for."""
    with hub.start(0, "print('here', flush=True); time.sleep(60)") as rank:
        hub.wait_for(b"here")
        began = time.monotonic()
        hub.output.wait_for_notes(10)
        assert time.monotonic() - began < 5
        rank.kill()
        rank.wait()
        began = time.monotonic()
        hub.output.wait_for_notes(0.2)
        assert time.monotonic() - began >= 0.2
