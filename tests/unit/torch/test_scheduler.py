"""The order of calls, the cap on microbatches, and the unwinding of a failed step; without MPI."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from shardyard_runtime.comm.torch_codec import flatten
from shardyard_runtime.comm.torch_mpi import CommunicationTimeout
from shardyard_runtime.comm.waits import Waits
from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.engine import Engine
from shardyard_runtime.torch.pipeline.messages import Abandoned, Execute, Executed
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.schedule.workload import RankCost
from shardyard_runtime.torch.pipeline.scheduler import Phase, Scheduler

STREAMS = Streams(torch.device("cpu"))


def nothing() -> None: ...


def waiting(unmet: Callable[[], bool]) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def execute(step: int, module: str, structure: bytes, arguments: list[Any], context: CallContext) -> Execute:
    needs_grad = [False] * len(arguments)
    return Execute(
        step, (step, 0, (0,)), 0, module, None, structure, arguments, needs_grad, [], frozenset(), context
    )


def kinds(transport: Alone) -> list[str]:
    return [type(message).__name__ for _, message in transport.sent]


class Alone:
    """A transport with nobody on the other side."""

    rank = 0

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.waits = Waits()

    def enter_thread(self) -> None: ...

    def handle(self, key: Any, handler: Any, broken: Any) -> None: ...

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        yield

    def send(self, dest: int, key: Any, obj: Any) -> None:
        self.sent.append((dest, obj))


def run_all(pipeline: str, calls: list[tuple[int, Phase]]) -> list[tuple[int, Phase]]:
    order: list[tuple[int, Phase]] = []
    scheduler = Scheduler(pipeline, STREAMS, nothing, waiting)
    for call in calls:
        scheduler.spawn(lambda call=call: order.append(call), *call)  # type: ignore[misc]
    scheduler.run(lambda: None, lambda: len(order) == len(calls))
    return order


CALLS = [(2, Phase.FORWARD), (1, Phase.BACKWARD), (0, Phase.FORWARD), (0, Phase.BACKWARD)]


def test_interleaved_takes_backward_first() -> None:
    expected = [(0, Phase.BACKWARD), (1, Phase.BACKWARD), (0, Phase.FORWARD), (2, Phase.FORWARD)]
    assert run_all("interleaved", CALLS) == expected


def test_simple_takes_forward_first() -> None:
    expected = [(0, Phase.FORWARD), (2, Phase.FORWARD), (0, Phase.BACKWARD), (1, Phase.BACKWARD)]
    assert run_all("simple", CALLS) == expected


def led(pipeline: str, cap: int, count: int = 4) -> tuple[list[str], list[Any]]:
    """What happens in a step whose microbatches go forward, then backward."""
    events: list[str] = []
    engine = Engine(Alone(), (0,), pipeline, cap, torch.device("cpu"), 0)  # type: ignore[arg-type]

    def body(index: int) -> Callable[[], Any]:
        def run() -> int:
            events.append(f"f{index}")
            engine.park()
            events.append(f"b{index}")
            return index * 10

        return run

    results, backward = engine.lead(lambda: [body(i) for i in range(count)])
    assert backward
    assert not engine.in_step
    return events, results


@pytest.mark.parametrize(
    ("pipeline", "cap", "expected"),
    [
        ("interleaved", 3, "f0 b0 f1 b1 f2 b2 f3 b3"),
        ("simple", 2, "f0 f1 b0 f2 b1 f3 b2 b3"),
        ("simple", 3, "f0 f1 f2 b0 f3 b1 b2 b3"),
        ("simple", 9, "f0 f1 f2 f3 b0 b1 b2 b3"),
    ],
)
def test_order_of_a_step(pipeline: str, cap: int, expected: str) -> None:
    events, results = led(pipeline, cap)
    assert events == expected.split()
    assert results == [0, 10, 20, 30]


@pytest.mark.parametrize("cap", [1, 2, 3])
def test_no_more_microbatches_than_the_cap_are_in_flight(cap: int) -> None:
    engine = Engine(Alone(), (0,), "interleaved", cap, torch.device("cpu"), 0)  # type: ignore[arg-type]
    live, highest = 0, 0

    def body() -> None:
        nonlocal live, highest
        live += 1
        highest = max(highest, live)
        task = engine._scheduler.prepare_wait(str)
        threading.Timer(0.02, engine._scheduler.wake, (task, None)).start()
        engine._scheduler.wait(task)
        live -= 1

    engine.lead(lambda: [body] * 6)
    assert highest == engine.max_live == cap


def test_abandon_unwinds_every_call_and_the_scheduler_works_on() -> None:
    scheduler = Scheduler("interleaved", STREAMS, nothing, waiting)
    events: list[str] = []

    def blocks(name: str) -> Callable[[], None]:
        def body() -> None:
            try:
                scheduler.wait(scheduler.prepare_wait(str))
                events.append(f"{name} went on")
            except Exception:
                events.append(f"{name} caught")
            finally:
                events.append(f"{name} unwound")

        return body

    def fails() -> None:
        scheduler.spawn(lambda: events.append("never"), 9, Phase.FORWARD)
        raise KeyError("root")

    scheduler.spawn(blocks("a"), 0, Phase.FORWARD)
    scheduler.spawn(blocks("b"), 1, Phase.FORWARD)
    scheduler.spawn(fails, 2, Phase.FORWARD)
    scheduler.run(lambda: None, lambda: False)
    assert isinstance(scheduler.error, KeyError)
    assert events == []
    scheduler.abandon()
    assert sorted(events) == ["a unwound", "b unwound"]
    assert scheduler.error is None
    done: list[int] = []
    scheduler.spawn(lambda: done.append(1), 0, Phase.FORWARD)
    scheduler.run(lambda: None, lambda: bool(done))
    assert done == [1]
    assert len(events) == 2


def test_an_unwinding_call_cannot_start_to_wait_again() -> None:
    scheduler = Scheduler("interleaved", STREAMS, nothing, waiting)
    events: list[str] = []

    def body() -> None:
        try:
            scheduler.wait(scheduler.prepare_wait(str))
        finally:
            events.append("first")
            scheduler.wait(scheduler.prepare_wait(str))
            events.append("never")

    scheduler.spawn(body, 0, Phase.FORWARD)
    scheduler.run(lambda: None, lambda: bool(scheduler._blocked))
    scheduler.abandon()
    assert events == ["first"]


def test_a_failed_microbatch_raises_its_own_error_tells_the_peers_and_the_next_step_works() -> None:
    transport = Alone()
    engine = Engine(transport, (0, 1), "simple", 2, torch.device("cpu"), 0)  # type: ignore[arg-type]

    def fails() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        engine.lead(lambda: [engine.park, fails, engine.park])
    assert [dest for dest, _ in transport.sent] == [1, 1]
    assert kinds(transport) == ["Begin", "Abandoned"]
    assert "LookupError: mine" in transport.sent[1][1].summary
    assert engine.lead(lambda: [lambda: 1, lambda: 2]) == ([1, 2], False)
    assert kinds(transport)[2:] == ["Begin", "MicrobatchDone", "MicrobatchDone", "Ended"]


def test_a_step_that_cannot_go_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDYARD_COMM_TIMEOUT", "0.05")
    scheduler = Scheduler("interleaved", STREAMS, nothing, waiting)
    scheduler.spawn(lambda: scheduler.wait(scheduler.prepare_wait(lambda: "rank 7")), 3, Phase.FORWARD)
    with pytest.raises(CommunicationTimeout, match=r"'microbatch 3: rank 7, at .*\.py:\d+'"):
        scheduler.run(lambda: None, lambda: False)
    scheduler.abandon()


def test_what_arrives_while_a_failed_step_is_left_does_not_run_in_the_next_one() -> None:
    ran: list[str] = []

    class Module(nn.Module):
        def forward(self) -> None:
            ran.append("late")

    class Late(Alone):
        def send(self, dest: int, key: Any, obj: Any) -> None:
            super().send(dest, key, obj)
            if isinstance(obj, Abandoned):
                structure, _ = flatten(((), {}))
                context = CallContext.capture()
                engine._on_message(1, execute(1, "m", structure, [], context))
                engine._on_message(1, Executed(1, (1, 0, (77,)), structure, []))

    transport = Late()
    engine = Engine(transport, (0, 1), "interleaved", 2, torch.device("cpu"), 0)  # type: ignore[arg-type]
    engine.own({"m": Module()}, {"m": 0}, [RankCost()] * 2)

    def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        engine.lead(lambda: [fails])
    assert engine.lead(lambda: [lambda: 1] * 3)[0] == [1, 1, 1]
    assert ran == []
    assert kinds(transport) == ["Begin", "Abandoned", "Begin", *["MicrobatchDone"] * 3, "Ended"]
    assert engine._early == []


def test_what_arrives_before_a_step_runs_in_it() -> None:
    transport = Alone()
    engine = Engine(transport, (0, 1), "interleaved", 2, torch.device("cpu"), 0)  # type: ignore[arg-type]
    engine.own({"m": nn.Identity()}, {"m": 0}, [RankCost()] * 2)
    structure, tensors = flatten(((torch.ones(2),), {}))
    engine._on_message(1, execute(1, "m", structure, tensors, CallContext.capture()))
    assert transport.sent == []
    engine.lead(lambda: [lambda: None])
    assert sorted(kinds(transport)) == ["Begin", "Ended", "Executed", "MicrobatchDone"]


def test_every_thread_that_runs_tasks_is_set_up_once() -> None:
    entered: list[threading.Thread] = []
    scheduler = Scheduler("interleaved", STREAMS, lambda: entered.append(threading.current_thread()), waiting)
    ran: list[threading.Thread] = []

    def blocks() -> None:
        ran.append(threading.current_thread())
        task = scheduler.prepare_wait(str)
        if len(ran) == 3:
            for other in list(scheduler._blocked):
                scheduler.wake(other, None)
        scheduler.wait(task)

    for index in range(3):
        scheduler.spawn(blocks, index, Phase.FORWARD)
    scheduler.run(lambda: None, lambda: len(ran) == 3 and not scheduler._ready and not scheduler._blocked)
    assert len(set(ran)) == 3
    assert set(ran) == set(entered)
    assert len(entered) == 3


@pytest.mark.parametrize("answered", [False, True])
def test_a_task_that_fails_before_it_waits_is_not_handed_to_again(answered: bool) -> None:
    scheduler = Scheduler("interleaved", STREAMS, nothing, waiting)

    def fails() -> None:
        task = scheduler.prepare_wait(str)
        if answered:
            scheduler.wake(task, "too early")
        raise OSError("could not be sent")

    def twice() -> None:
        scheduler.spawn(fails, 0, Phase.FORWARD)
        scheduler.run(lambda: None, lambda: False)
        assert isinstance(scheduler.error, OSError)
        scheduler.abandon()
        ran.append(True)

    ran: list[bool] = []
    thread = threading.Thread(target=twice, daemon=True)
    thread.start()
    thread.join(10)
    assert ran, "the scheduler waits for a task that has ended"
