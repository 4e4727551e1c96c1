"""Which ranks are stuck, told from their reports; the detectors of several ranks, whose messages come in any order."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shardyard_runtime.comm.deadlock import Collective, Report, explanation, stuck
from shardyard_runtime.comm.detector import Control, Deadlock, Detector
from shardyard_runtime.comm.waits import Waits


def report(rank: int, on: tuple[int, ...], size: int = 3, **changes: Any) -> Report:
    fields = {
        "serial": 0,
        "what": ("an answer",),
        "sent": (0,) * size,
        "taken": (0,) * size,
        "ended": {},
        "collective": None,
        "counts": {},
    }
    return Report(rank=rank, on=on, **{**fields, **changes})


def of(*reports: Report) -> dict[int, Report]:
    return {one.rank: one for one in reports}


def test_a_cycle_is_stuck_and_who_waits_for_it() -> None:
    assert stuck(of(report(0, (1,)), report(1, (0,)), report(2, (0,)))) == {0, 1, 2}


def test_one_that_waits_for_a_rank_that_computes_is_not() -> None:
    assert stuck(of(report(0, (1,)), report(1, (0, 2)))) == set()
    assert stuck(of(report(1, (0,)), report(2, (1,)))) == set()


def test_a_message_on_its_way_saves_its_receiver_and_who_waits_for_that() -> None:
    assert stuck(of(report(0, (1,), sent=(0, 1, 0)), report(1, (0,)), report(2, (2,)))) == {2}


def test_a_rank_that_has_ended_sends_nothing() -> None:
    gone = {2: {"world": 3}}
    assert stuck(of(report(0, (2,), ended=gone), report(1, (2,)))) == {0}
    assert "rank 0 waits for rank 2 (which has ended): an answer" in explanation(
        of(report(0, (2,), ended=gone)), {0}
    )


def test_a_collective_waits_for_those_who_have_not_called_it() -> None:
    call = Collective("world", (0, 1, 2), 5)
    inside = {"collective": call, "counts": {"world": 5}}
    others = report(1, (0,), counts={"world": 4})
    assert stuck(of(report(0, (0, 1, 2), **inside), others)) == {0, 1}
    assert "rank 0 waits for rank 1: " in explanation(of(report(0, (0, 1, 2), **inside), others), {0, 1})
    # All are in it: data moves, however long that takes. One left it, and ended: its data is on the way.
    everyone = of(*(report(rank, (0, 1, 2), **inside) for rank in range(3)))
    assert stuck(everyone) == set()
    assert stuck(of(report(0, (0, 1, 2), **inside, ended={1: {"world": 5}, 2: {"world": 5}}))) == set()
    assert stuck(of(report(0, (0, 1, 2), **inside, ended={1: {"world": 4}}))) == {0}
    # One that has destroyed its groups, and ended, may have made the call.
    assert stuck(of(report(0, (0, 1, 2), **inside, ended={1: {}}))) == set()


class Rank:
    """A rank that counts messages as the transport does, in front of a network that keeps everything for a while."""

    def __init__(self, rank: int, network: Network) -> None:
        self.rank, self.size, self.network = rank, network.size, network
        self.sent, self.taken = [0] * network.size, [0] * network.size
        self.on: tuple[int, ...] | None = None  # None: it computes
        self.serial = 0
        self.error: Deadlock | None = None
        self.detector = Detector(self, set)

    def report(self) -> Report | None:
        if self.on is None:
            return None
        sent, taken = tuple(self.sent), tuple(self.taken)
        return report(self.rank, self.on, self.size, serial=self.serial, sent=sent, taken=taken)

    def control(self, dest: int, message: Control) -> None:
        self.network.control.append((dest, message))

    def give_up(self, error: Deadlock) -> None:
        self.error = error

    def wait(self, on: tuple[int, ...]) -> None:
        self.on, self.serial = on, self.serial + 1

    def send(self, dest: int) -> None:
        self.sent[dest] += 1
        self.network.messages.append((self.rank, dest))


class Network:
    def __init__(self, size: int) -> None:
        self.size = size
        self.control: deque[tuple[int, Control]] = deque()
        self.messages: list[tuple[int, int]] = []
        self.now = 0.0
        self.ranks = [Rank(rank, self) for rank in range(size)]

    def arrive(self, index: int) -> None:
        source, dest = self.messages.pop(index)
        receiver = self.ranks[dest]
        receiver.taken[source] += 1
        if receiver.on is not None and source in receiver.on:
            receiver.on = None

    def look(self, rank: int) -> None:
        self.now += 0.5
        self.ranks[rank].detector.look(self.now)

    def settle(self) -> None:
        for _ in range(20):
            for rank in range(self.size):
                self.look(rank)
            while self.control:
                dest, message = self.control.popleft()
                self.ranks[dest].detector.take(message)

    def hopeless(self) -> bool:
        """What an observer of everything sees: nobody computes, and no message that somebody waits for is left."""
        return all(r.on is not None for r in self.ranks) and not any(
            self.ranks[dest].on and source in (self.ranks[dest].on or ()) for source, dest in self.messages
        )


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from("wait wait send arrive look control settle".split()),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    min_size=30,
    max_size=80,
)


# A report that came between a question and its answer was dropped with the one that the question was about.
_REPORTED_WHILE_ASKED = [("wait", 1, 1), ("wait", 2, 1), ("send", 0, 0), ("send", 0, 1), ("arrive", 0, 0)]
_REPORTED_WHILE_ASKED += [("settle", 0, 0), ("wait", 1, 0), ("arrive", 0, 0), ("settle", 0, 0)]


@example(_REPORTED_WHILE_ASKED)
@settings(max_examples=200, deadline=None)
@given(ACTIONS)
def test_never_a_false_alarm_and_always_a_true_one(actions: list[tuple[str, int, int]]) -> None:
    network = Network(3)
    for kind, a, b in actions:
        rank = network.ranks[a % 3]
        if kind == "wait" and rank.on is None:
            rank.wait(((rank.rank + 1 + b % 2) % 3,))
        elif kind == "send" and rank.on is None:
            rank.send((rank.rank + 1 + b % 2) % 3)
        elif kind == "arrive" and network.messages:
            network.arrive(a % len(network.messages))
        elif kind == "look":
            network.look(a % 3)
        elif kind == "settle":
            network.settle()
        elif kind == "control" and network.control:
            dest, message = network.control.popleft()
            network.ranks[dest].detector.take(message)
        alarmed = [r for r in network.ranks if r.error is not None]
        if alarmed:  # those it names can never go on: whatever computes does not concern them
            text = str(alarmed[0].error)
            named = [r for r in network.ranks if f"rank {r.rank} waits for" in text]
            assert named
            for r in named:
                assert r.on is not None
                assert set(r.on) <= {n.rank for n in named}
                assert not any(dest == r.rank and source in r.on for source, dest in network.messages)
            return
    while network.messages:
        network.arrive(0)
    for rank in network.ranks:
        if rank.on is None:
            rank.wait(((rank.rank + 1) % 3,))
    assert network.hopeless()
    network.settle()
    assert all(r.error is not None for r in network.ranks)


def test_a_rank_waits_only_when_every_thread_that_uses_it_does() -> None:
    waits = Waits()
    came = threading.Event()
    go_on = threading.Event()

    def other() -> None:
        waits.seen()
        came.set()
        go_on.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    came.wait(10)
    with waits.waiting((1,), list, lambda: True):
        assert waits.of_rank() is None  # the other thread may still send
        go_on.set()
        thread.join()
        assert waits.of_rank() is not None
        with waits.waiting((1,), list, lambda: False):
            pass
    assert waits.of_rank() is None
    with waits.waiting((1,), list, lambda: False):
        assert waits.of_rank() is None  # what it waits for has come; it only has not noticed
