from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shardyard.local.logs import LONGEST, FileTee, Pump, TaggedSink, lines


@given(st.binary(max_size=200), st.integers(1, 7))
def test_nothing_is_lost_whatever_the_chunks(data: bytes, step: int) -> None:
    chunks = [data[i : i + step] for i in range(0, len(data), step)]
    whole = [line.decode("utf-8", "replace").rstrip("\r") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        whole.pop()
    assert list(lines(chunks)) == whole


def test_lines_are_tagged() -> None:
    out = io.StringIO()
    pump = Pump("algo-2", [b"one\ntw", b"o\nlast"], TaggedSink(out))
    pump.start()
    pump.join(5)
    assert out.getvalue() == "algo-2 | one\nalgo-2 | two\nalgo-2 | last\n"


def test_a_broken_log_is_reported() -> None:
    def broken() -> object:
        yield b"x\n"
        raise OSError("gone")

    pump = Pump("algo-1", broken(), TaggedSink(io.StringIO()))  # type: ignore[arg-type]
    pump.start()
    pump.join(5)
    assert str(pump.error) == "gone"


def test_a_line_without_end_is_cut() -> None:
    """It would fill the memory; joining its pieces anew for each chunk would take minutes."""
    chunk = b"x" * 65536
    found = list(lines([chunk] * 1024 + [b"end\nlast"]))
    assert sum(map(len, found)) == 1024 * 65536 + len("endlast")
    assert max(map(len, found)) <= LONGEST + len(chunk)
    assert found[-2].endswith("xend")
    assert found[-1] == "last"


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    TaggedSink(terminal)("algo-1", "loss \u2193 0.1")
    assert raw.getvalue() == b"algo-1 | loss \\u2193 0.1\n"


def test_a_reader_that_goes_away_does_not_cost_the_log(tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with FileTee(TaggedSink(Closed()), tmp_path, ["algo-1"], "log.txt") as tee:
        pump = Pump("algo-1", [b"one\n", b"two\n"], tee)
        pump.start()
        pump.join(5)
        tee("shardyard", "of no host")
    assert pump.error is None
    assert (tmp_path / "algo-1/log.txt").read_text() == "one\ntwo\n"
