"""Progress as a person sees it in a terminal, and as a log file keeps it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from shardyard.engines.plain_text import Lines, plain

# A build whose output is meant for a terminal, then a push of two layers in many steps.
SCRIPT = r"""
from shardyard.engines.progress import ConsoleProgress
with ConsoleProgress() as listener:
    listener({"stream": "Step 1/2 : FROM base\n"})
    for done in range(1000):
        listener({"stream": f"\r\x1b[32mfetching {done / 10}%\x1b[0m"})
    listener({"stream": "\nStep 2/2 : ADD code.tar /\n"})
    for layer in ("aaa", "bbb"):
        for second in range(5, 0, -1):
            listener({"id": layer, "status": f"Retrying in {second} seconds"})
        for done in range(1000):
            listener({"id": layer, "status": "Pushing", "progressDetail": {"current": done, "total": 1000}})
        listener({"id": layer, "status": "Pushed"})
    listener({"status": "latest: digest: sha256:1 size: 2"})
    listener({"stream": "no end of line"})
"""
LINES = [
    "Step 1/2 : FROM base",
    "fetching 99.9%",
    "Step 2/2 : ADD code.tar /",
    "aaa: Retrying in 5 seconds",
    "aaa: Pushing",
    "aaa: Pushed",
    "bbb: Retrying in 5 seconds",
    "bbb: Pushing",
    "bbb: Pushed",
    "latest: digest: sha256:1 size: 2",
    "no end of line",
]


def test_a_log_file_gets_plain_lines_and_few() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines() == LINES
    assert done.stdout == ""


def in_terminal(**env: str) -> str:
    main, side = pty.openpty()
    line = [sys.executable, "-c", SCRIPT]
    process = subprocess.Popen(line, stderr=side, env={**os.environ, "COLUMNS": "100", "LINES": "30", **env})
    os.close(side)
    seen = b""
    try:
        while part := os.read(main, 65536):
            seen += part
    except OSError:  # how a terminal says that nobody holds its other side
        pass
    os.close(main)
    assert process.wait(60) == 0
    return seen.decode()


def test_a_terminal_gets_bars_that_are_gone_in_the_end() -> None:
    seen = in_terminal(TERM="xterm")
    assert "━" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back
    said = [plain(line) for line in seen.split("\n")]
    for line in (*LINES[:3], "aaa: Pushed", "bbb: Pushed", LINES[-1]):
        assert line in said


def test_a_dumb_terminal_is_written_to_as_a_log_file() -> None:
    assert in_terminal(TERM="dumb").split() == " ".join(LINES).split()


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=30), max_size=8))
def test_however_text_is_cut_its_lines_are_the_same_and_plain(pieces: list[str]) -> None:
    cut, whole = Lines(), Lines()
    lines = [line for piece in pieces for line in cut.of(piece)] + cut.rest()
    assert lines == whole.of("".join(pieces)) + whole.rest()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "".join(lines))
    assert all(line == plain(line) for line in lines)
