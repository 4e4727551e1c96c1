"""The timeline: one clock for all ranks, a summary, a trace and a drawing of what was recorded."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.torch.microbatch import StepOutput
from shardyard_runtime.torch.timeline import series, svg, switch
from shardyard_runtime.torch.timeline.chrome import trace
from shardyard_runtime.torch.timeline.clocks import OneClock, Reading, Trip, reading
from shardyard_runtime.torch.timeline.memory import memory
from shardyard_runtime.torch.timeline.recorder import Arrived, Ran, Recorder, Sent, Step, Waited
from shardyard_runtime.torch.timeline.run import Part, Run, Settings
from shardyard_runtime.torch.timeline.series import Point, Series, scalar
from shardyard_runtime.torch.timeline.summary import document, live_microbatches, summarized, text
from shardyard_runtime.torch.timeline.timeline import picture

CPU = torch.device("cpu")
MS = 1_000_000
FAR = 10**15  # another host has been up for longer


def step(number: int, shift: int, rank: int, begin: int) -> Step:
    """Two microbatches through two ranks, 10 ms a task; ``shift`` is what the rank's clock shows more."""
    at = [begin + shift + slot * 10 * MS for slot in range(7)]
    slots = [0, 1, 4, 5] if rank == 0 else [1, 2, 3, 4]
    what = [(0, 0), (0, 1), (1, 0), (1, 1)]
    tasks = [Ran(at[slot], at[slot + 1], *one, f"part{rank}") for slot, one in zip(slots, what, strict=True)]
    sent = [Sent(at[1], 1, 7 * number, "Execute", 4000)] if rank == 0 else []
    arrived = [] if rank == 0 else [Arrived(at[1], 0, 7 * number)]
    waits = [Waited(at[2], at[4])] if rank == 0 else [Waited(at[0], at[1])]
    return Step(number, "train", at[0] - MS, at[0], at[6], at[6] + MS, tasks, waits, sent, arrived)


def run_of(drift: float = 0.0) -> Run:
    parts = []
    for rank in range(2):
        shift = rank * FAR
        steps = [step(n, shift + int(rank * drift * n * 1000 * MS), rank, n * 1000 * MS) for n in range(1, 4)]
        ends = [0, 4000 * MS]
        readings = [
            Reading(end + shift + int(rank * drift * end), -shift - int(rank * drift * end), 5)
            for end in ends
        ]
        points = [Point(n, 0.062, 1.0 / n if rank == 0 else None, 100, 120, 0, 0) for n in range(1, 4)]
        kept, found = {"train": steps}, {"train": Series(points, 1, 3)}
        parts.append(Part(rank, f"algo-{rank + 1}", "cpu", (0, 1), 0, readings, kept, found))
    return Run(reversed(parts), Settings("interleaved", 2, 2))


# -- clocks ------------------------------------------------------------------------------------------------------


@given(
    offset=st.integers(-(10**18), 10**18),
    ways=st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)), min_size=1, max_size=40),
)
def test_a_reading_is_within_its_error(offset: int, ways: list[tuple[int, int]]) -> None:
    """Whatever the two ways take: rank 0's clock is what was said, give or take half the shortest round trip."""
    now, trips = 0, []
    for out, back in ways:
        trips.append(Trip(now, now + out + offset, now + out + back))
        now += out + back
    found = reading(trips)
    assert abs(found.offset - offset) <= found.error + 1
    assert found.error <= min(out + back for out, back in ways) // 2


@given(drift=st.floats(-1e-4, 1e-4), at=st.integers(0, 3600 * 10**9))
def test_a_clock_that_runs_at_another_rate(drift: float, at: int) -> None:
    hour = 3600 * 10**9

    def rank0(own: int) -> int:
        return own + FAR + int(own * drift)

    clock = OneClock([Reading(own, rank0(own) - own, 10) for own in (0, hour)])
    assert abs(clock(at) - rank0(at)) <= 2
    assert OneClock([Reading(0, FAR, 10)])(at) == at + FAR


# -- what is recorded ----------------------------------------------------------------------------------------------


def test_the_recorder_keeps_the_last_steps_of_each_function_and_none_that_failed() -> None:
    recorder = Recorder(2, CPU, leads=True)
    for _ in range(5):
        for function in ("train", "evaluate"):
            with recorder.step(function) as output:
                recorder.hands_over()
                recorder.ran(0, 3, "layer")
                output.append(StepOutput([torch.tensor(1.0), torch.tensor(2.0)]))

    def failing() -> None:
        with recorder.step("train"):
            recorder.hands_over()
            recorder.ran(0, 0, "layer")
            raise KeyError("x")

    with pytest.raises(KeyError):
        failing()
    assert {name: [one.number for one in steps] for name, steps in recorder.kept.items()} == {
        "train": [7, 9],
        "evaluate": [8, 10],
    }
    assert all(len(one.tasks) == 1 for steps in recorder.kept.values() for one in steps)
    points = recorder.series["train"].points
    assert [point.step for point in points] == [1, 3, 5, 7, 9]
    assert [float(point.value) for point in points] == [1.5] * 5
    assert all(0 < point.resident <= point.resident_peak for point in points)
    assert memory(CPU)[2:] == (0, 0)


def test_a_long_series_is_thinned_evenly() -> None:
    found = Series()
    for number in range(10 * series.MOST):
        if found.wants():
            found.points.append(Point(number, 0, None, 0, 0, 0, 0))
    steps = [point.step for point in found.points]
    assert series.MOST // 2 <= len(steps) <= series.MOST
    assert steps == list(range(0, 10 * series.MOST, found.stride))


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (StepOutput([torch.tensor(1.0), torch.tensor([3.0])]), 2.0),
        ((StepOutput([torch.tensor(1.0)]), StepOutput([torch.ones(4)])), 1.0),
        ({"logits": StepOutput([torch.ones(4)]), "loss": StepOutput([torch.tensor(0.5)])}, 0.5),
        ([1.0, 2.0], 1.5),
        (StepOutput([torch.ones(4)]), None),
        (StepOutput([torch.tensor(3)]), None),
        ({"logits": StepOutput([torch.tensor(1.0)])}, None),
        (["a", "b"], None),
        ((), None),
        (None, None),
    ],
)
def test_the_scalar_of_a_step(output: object, value: float | None) -> None:
    found = scalar(output)
    assert (None if found is None else float(found)) == value


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(1, 9)).map(
            lambda t: Ran(t[1], t[1] + t[2], 0, t[0], "")
        ),
        max_size=20,
    )
)
def test_live_microbatches(tasks: list[Ran]) -> None:
    held = {
        mb: (
            min(t.start for t in tasks if t.microbatch == mb),
            max(t.end for t in tasks if t.microbatch == mb),
        )
        for mb in {t.microbatch for t in tasks}
    }
    at_once = [sum(start <= now < end for start, end in held.values()) for now in range(80)]
    assert live_microbatches(tasks) == max(at_once)


@pytest.mark.parametrize("value", ["yes", "-1", "1.5"])
def test_a_switch_that_is_no_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(switch.VARIABLE, value)
    with pytest.raises(ValueError, match=f"'{value}' is no number of steps.*Set it to 10"):
        switch.steps_to_keep()


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(OSError, match="Set SM_OUTPUT_DATA_DIR"):
        switch.folder()


# -- what is told of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [0.0, 1e-5])
def test_the_summary(drift: float) -> None:
    (found,) = summarized(run := run_of(drift))
    assert (found.name, found.steps, found.recorded) == (
        "train",
        3,
        [2, 3],
    )  # the first one sets everything up
    assert found.seconds == pytest.approx(0.06, rel=1e-3)
    for share in found.shares:
        assert share.forward == pytest.approx(1 / 3, rel=1e-3)
        assert share.backward == pytest.approx(1 / 3, rel=1e-3)
        assert share.idle == pytest.approx(1 / 3, rel=1e-3)
    assert [share.live for share in found.shares] == [2, 2]
    assert [(share.sent, share.received) for share in found.shares] == [(4000, 0), (0, 4000)]
    table = text(run, [found]).splitlines()
    assert table[0] == "train: 3 steps, of which 2 to 3 are recorded; 60.0 ms in the pipeline; 2 microbatches"
    assert table[2].split() == ["0", "33%", "33%", "33%", "2", "4", "kB", "0", "B"]


def test_the_document_has_only_what_json_has() -> None:
    run = run_of()
    points = run.parts[0].series["train"].points
    points[1] = points[1]._replace(value=math.nan)
    found = document(run, summarized(run))
    assert [one["value"] for one in found["series"]] == [[1.0, None, 1 / 3], []]
    assert [one["partition"] for one in found["ranks"]] == [0, 1]


def test_the_trace_is_on_one_clock() -> None:
    events = trace(run_of(1e-5))["traceEvents"]
    bars = [e for e in events if e["ph"] == "X"]
    assert min(e["ts"] for e in bars) == 0
    assert max(e["ts"] + e["dur"] for e in bars) < 2.1e6  # three steps, a second apart
    assert [e["name"] for e in bars if e["tid"] == 1 and e["pid"] == 1][:4] == [
        "F0 part1", "F1 part1", "B0 part1", "B1 part1",
    ]  # fmt: skip
    waits = [e for e in bars if e["tid"] == 2]
    assert {(e["pid"], e["args"]["until"]) for e in waits} == {(0, "B0 part0"), (1, "F0 part1")}
    for begin, end in (("s", "f"), ("b", "e")):
        starts = {e["id"]: e for e in events if e["ph"] == begin}
        ends = {e["id"]: e for e in events if e["ph"] == end}
        assert starts.keys() == ends.keys()
        assert len(starts) == 3
        assert all(ends[one]["ts"] >= starts[one]["ts"] for one in starts)
        assert {e["pid"] for e in ends.values()} == {1}


def test_the_drawing_has_every_task_where_it_ran_and_the_plan_below() -> None:
    (function,) = summarized(run := run_of())
    root = ElementTree.fromstring(picture(run, [function]))
    name = "{http://www.w3.org/2000/svg}"
    (panel,) = root.findall(f"{name}g")
    bars = [one for one in panel.iter(f"{name}rect") if one.get("class") in ("F", "B")]
    assert len(bars) == 8
    wide = {round(float(one.get("width", "0")), 1) for one in bars}
    assert len(wide) == 1  # all take 10 ms
    rows = [[b for b in bars if b.get("y") == y] for y in sorted({b.get("y", "") for b in bars}, key=float)]
    for row in rows:
        by_time = sorted(row, key=lambda b: float(b.get("x", "0")))
        for before, after in itertools.pairwise(by_time):
            assert float(after.get("x", "0")) >= float(before.get("x", "0")) + next(iter(wide)) - 0.1
        assert "".join(b.get("class", "") for b in by_time) == "FFBB"

    plan = [svg.Bar(0, "F", 0, 0.0, 0.5), svg.Bar(1, "W", 0, 0.5, 1.0)]
    both = ElementTree.fromstring(
        svg.draw("t", [svg.Bar(0, "F", 0, 0, 0.25)], {0: 0.5, 1: 1.0}, planned=plan)
    )
    ran, planned = both.findall(f"{name}g")
    assert [one.get("class") for one in planned.iter(f"{name}rect") if one.get("class") in "FBW"] == [
        "F",
        "W",
    ]
    (short,) = [one for one in ran.iter(f"{name}rect") if one.get("class") == "F"]
    (long,) = [one for one in planned.iter(f"{name}rect") if one.get("class") == "F"]
    assert float(long.get("width", "0")) == pytest.approx(2 * float(short.get("width", "0")), abs=0.02)


def test_a_step_that_opens_again_began_the_first_time() -> None:
    recorder = Recorder(1, torch.device("cpu"), leads=False)
    with recorder.step("train") as output:
        recorder.opened()
        recorder.hands_over()
        recorder.ran(0, 0, "far")
        recorder.closed()
        recorder.opened()  # the leader waits for the others' records
        recorder.closed()
        output.append(None)
    (step,) = recorder.kept["train"]
    assert step.opened <= step.tasks[0].start <= step.tasks[0].end <= step.closed
