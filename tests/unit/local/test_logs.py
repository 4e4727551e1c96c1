from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from shardyard.local.logs import Pump, TaggedSink, lines


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
