"""Schedules as data: written and parsed, checked, simulated, generated, chosen. Without torch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.torch.pipeline.schedule.generate import generated, interleaved
from shardyard_runtime.torch.pipeline.schedule.plans import (
    FOLLOWED,
    NAMES,
    Plan,
    best,
    chain_plan,
    fastest,
    step_plan,
)
from shardyard_runtime.torch.pipeline.schedule.simulate import Stuck, simulate
from shardyard_runtime.torch.pipeline.schedule.tasks import (
    Key,
    Kind,
    Schedule,
    ScheduleError,
    Task,
    parsed,
    written,
)
from shardyard_runtime.torch.pipeline.schedule.workload import Part, Segment, Workload, chain

TASKS = st.builds(Task, st.integers(0, 10**9 - 1), st.sampled_from(Kind), st.integers(0, 10**9 - 1))
SCHEDULES = st.lists(st.lists(TASKS, max_size=6).map(tuple), min_size=1, max_size=4).map(tuple)
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0])
SEGMENTS = st.builds(Segment, SECONDS, SECONDS, SECONDS, st.integers(0, 9))


@given(SCHEDULES)
def test_what_is_written_is_parsed(schedule: Schedule) -> None:
    assert parsed(written(schedule)) == schedule


@given(st.text(st.sampled_from("rank 012:FBIWx\n٣")))
def test_any_text_is_a_schedule_or_an_error_that_says_why(text: str) -> None:
    with contextlib.suppress(ScheduleError):
        assert parsed(written(parsed(text))) == parsed(text)


def test_a_text_with_several_mistakes_is_told_all_of_them() -> None:
    with pytest.raises(ScheduleError) as raised:
        parsed("rank 0: 0F0 0X1 F\nrank 2: 2F0\nrank 0: 0B0\nother")
    assert raised.value.findings == [
        "line 1: '0X1' is no task; write the segment, one of F, B, I and W, and the microbatch: 2F0",
        "line 1: 'F' is no task; write the segment, one of F, B, I and W, and the microbatch: 2F0",
        "line 3: rank 0 has a line already; put its tasks on one",
        "line 4: 'other' does not begin with 'rank N:'",
        "there is no line 'rank 1:', but one for rank 2; an idle rank has an empty one",
    ]
    with pytest.raises(ScheduleError, match="there is no line"):
        parsed(" \n")


def test_a_schedule_with_several_mistakes_is_told_all_of_them() -> None:
    schedule = parsed("rank 0: 0B0 0F0 0F0 1F1 0W0\nrank 1: 1F0 1B0")
    with pytest.raises(ScheduleError) as raised:
        simulate(schedule, chain([Segment()] * 2, 2, 2), 2)
    assert raised.value.findings == [
        "rank 0 has 0F0, which rank 0 has already",
        "rank 0 has 1F1, which belongs to rank 1",
        "rank 0 has 0W0, which is none of the step's tasks",
        "rank 0 has 0B0 before 0F0, which it comes after",
        "no rank has 0B1, 0F1, 1B1",
    ]
    with pytest.raises(ScheduleError, match="orders for 1 ranks, and there are 2"):
        simulate(parsed("rank 0: 0F0 0B0"), chain([Segment()] * 2, 2, 1), 2)


def test_times_of_a_schedule_by_hand() -> None:
    schedule = parsed("rank 0: 0F0 0F1 0B0 0B1\nrank 1: 1F0 1B0 1F1 1B1")
    segments = [Segment(1, 1, 1, activation_bytes=10), Segment(2, 1, 2, activation_bytes=7)]
    seen = simulate(schedule, chain(segments, 2, 2, transfer=0.5), 2)
    ends = {str(task): end for task, end in seen.ends.items()}
    assert ends == {"0F0": 1, "0F1": 2, "1F0": 3.5, "1B0": 6.5, "0B0": 9, "1F1": 8.5, "1B1": 11.5, "0B1": 14}
    assert seen.seconds == 14
    assert seen.idle == (1 - 6 / 14, 1 - 10 / 14)
    assert seen.idle_share == pytest.approx((8 / 14 + 4 / 14) / 2)
    assert (seen.live, seen.peak_bytes, seen.in_flight) == ((2, 1), (20, 7), 2)


def test_a_schedule_that_cannot_complete_says_who_waits_for_what() -> None:
    workload = chain([Segment()] * 2, 2, 2)
    with pytest.raises(Stuck) as raised:
        simulate(parsed("rank 0: 0F0 0B0 0F1 0B1\nrank 1: 1F1 1B1 1F0 1B0"), workload, 2)
    assert str(raised.value) == (
        "the schedule cannot complete: rank 0 is at 0B0, which waits for 1B0; rank 1 is at 1F1, which waits for 0F1"
    )
    with pytest.raises(Stuck, match="0F1, which waits for fewer than 1 microbatches in flight"):
        simulate(parsed("rank 0: 0F0 0F1 0B0 0B1\nrank 1: 1F0 1B0 1F1 1B1"), workload, 1)
    circle = {
        Key(0, Kind.FORWARD): Part(0, 1.0, (Key(1, Kind.FORWARD),)),
        Key(1, Kind.FORWARD): Part(0, 1.0, (Key(0, Kind.FORWARD),)),
    }
    with pytest.raises(Stuck, match="2 tasks, 0F0 first"):
        generated(interleaved, Workload(1, (circle,)), 1)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(NAMES), st.integers(1, 5), st.integers(1, 9), st.integers(1, 3))
def test_any_schedule_completes_and_keeps_to_the_active_microbatches(
    data: st.DataObject, name: str, ranks: int, microbatches: int, each: int
) -> None:
    segments = data.draw(st.lists(SEGMENTS, min_size=1, max_size=ranks * each), "segments")
    active = data.draw(st.integers(1, microbatches + 2), "active")
    plan = chain_plan(name, segments, ranks, microbatches, active, data.draw(SECONDS, "transfer"))
    kinds = (Kind.FORWARD, Kind.INPUT_GRADIENT, Kind.WEIGHT_GRADIENT)
    kinds = kinds if name == "zero_bubble" else (Kind.FORWARD, Kind.BACKWARD)
    assert Counter(task for order in plan.schedule for task in order) == Counter(
        Task(s, kind, m) for s in range(len(segments)) for kind in kinds for m in range(microbatches)
    )
    assert parsed(written(plan.schedule)) == plan.schedule
    assert plan.outcome.in_flight <= active
    assert max(plan.outcome.live) <= active
    # Whatever the tasks really cost, and however long messages take.
    costs = [data.draw(SEGMENTS) for _ in segments]
    other = chain(costs, ranks, microbatches, data.draw(SECONDS), name == "zero_bubble")
    seen = simulate(plan.schedule, other, active)
    assert len(seen.ends) == sum(map(len, plan.schedule))
    assert seen.in_flight <= active
    assert max(seen.live) <= active


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 40))
def test_idle_shares_of_uniform_tasks(ranks: int, microbatches: int) -> None:
    bound = (ranks - 1) / (microbatches + ranks - 1)

    def plan(name: str, active: int, segments: int = 1) -> Plan:
        one = Segment(1 / segments, 1 / segments, 1 / segments)
        return chain_plan(name, [one] * (ranks * segments), ranks, microbatches, active)

    assert plan("simple", microbatches).outcome.idle_share == pytest.approx(bound)
    assert plan("interleaved", ranks).outcome.idle_share == pytest.approx(bound)
    assert plan("zero_bubble", ranks).outcome.idle_share < bound
    if microbatches < ranks:
        return
    # With enough of them in flight, what the paper has for ZB-H1 where the three tasks of a microbatch cost the same.
    third = (ranks - 1) / (3 * microbatches + ranks - 1)
    assert plan("zero_bubble", 2 * ranks).outcome.idle_share == pytest.approx(third)
    if microbatches % ranks == 0:
        virtual = plan("virtual_stages", 2 * ranks, 2).outcome
        assert virtual.idle_share == pytest.approx((ranks - 1) / (2 * microbatches + ranks - 1))


def test_the_best_is_the_fastest_that_fits() -> None:
    segments = [Segment(activation_bytes=100)] * 4
    plans = [chain_plan(name, segments, 4, 8, 8) for name in ("simple", "interleaved", "zero_bubble")]
    assert [max(plan.outcome.peak_bytes) for plan in plans] == [800, 800, 800]
    modest = chain_plan("interleaved", segments, 4, 8, 4)
    assert best([*plans, modest]).name == "zero_bubble"
    assert best([*plans, modest], [500] * 4) == modest
    assert (
        best([*plans, modest], [850, 850, 850, 750]).name == "interleaved"
    )  # what zero_bubble puts off, the last rank holds
    assert best([*plans, modest], [50] * 4) == modest  # nothing fits
    assert fastest([plans[0], modest]) == modest  # as fast, and it holds less
    with pytest.raises(ValueError, match="'gpipe' is no schedule; there are simple, "):
        chain_plan("gpipe", segments, 4, 8, 8)


def test_a_step_takes_the_best_for_its_own_tasks() -> None:
    segments = [Segment(1, activation_bytes=5), Segment(3), Segment(2), Segment(1)]
    workload = chain(segments, 2, 8)
    each = [step_plan(name, workload, 6) for name in FOLLOWED]
    assert step_plan("auto", workload, 6).outcome == fastest(each).outcome
    fewest = min(max(plan.outcome.peak_bytes) for plan in each)
    tight = step_plan("auto", dataclasses.replace(workload, room=(fewest, fewest)), 6)
    assert max(tight.outcome.peak_bytes) == fewest
