"""Recognises a deadlock: every rank says when it has waited for a moment, one of them puts the reports together.

All of it runs on the communication thread of each rank. The lowest rank that has not ended keeps the reports. When
they show ranks that wait for each other only, it asks each of them again: an equal second report proves that nothing
went on and nothing was on its way in between (deadlock.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shardyard_runtime.comm.deadlock import Report, explanation, stuck

_PATIENCE = 1.0  # seconds that a rank waits before it says so
_INTERVAL = 0.25  # seconds between two looks at the own state


class Deadlock(RuntimeError):
    """Every rank of a set waits for others of it, and no message is on its way: none can ever go on."""


@dataclass(frozen=True)
class Reported:
    """A rank has waited for a moment."""

    report: Report


@dataclass(frozen=True)
class Confirm:
    """Say again what you wait for, to the rank that asks."""

    round: int
    keeper: int


@dataclass(frozen=True)
class Confirmed:
    round: int
    rank: int
    report: Report | None


@dataclass(frozen=True)
class Verdict:
    text: str


Control = Reported | Confirm | Confirmed | Verdict


class Link(Protocol):
    """What the detector needs of its rank's transport."""

    rank: int
    size: int

    def report(self) -> Report | None: ...

    def control(self, dest: int, message: Control) -> None: ...

    def give_up(self, error: Deadlock) -> None: ...


class Detector:
    """The part of one rank. ``ended`` are the ranks that will send nothing more."""

    def __init__(self, transport: Link, ended: Callable[[], set[int]]) -> None:
        self._transport = transport
        self._ended = ended
        self._look_at = 0.0
        self._own: Report | None = None
        self._since = 0.0
        self._told: tuple[int, Report] | None = None
        self._reports: dict[int, Report] = {}
        self._round = 0
        self._asked: dict[int, Report] = {}  # what has to be confirmed
        self._pending: set[int] = set()  # by whom it was not yet
        self._found = False

    def look(self, now: float) -> None:
        """Reports this rank's wait once it has lasted; called often, at ``now`` seconds of a monotonic clock."""
        if now < self._look_at or self._found:
            return
        self._look_at = now + _INTERVAL
        own = self._transport.report()
        if own is None or own != self._own:
            self._own, self._since, self._told = own, now, None
            return
        keeper = min(set(range(self._transport.size)) - self._ended())
        if now - self._since >= _PATIENCE and self._told != (keeper, own):
            self._told = (keeper, own)
            self._send(keeper, Reported(own))

    def take(self, message: Control) -> None:
        if isinstance(message, Reported):
            self._reports[message.report.rank] = message.report
            self._ask()
        elif isinstance(message, Confirm):
            own = self._transport.report()
            if self._told is not None and self._told[1] != own:
                self._told = None  # the keeper will drop what it was told
            self._send(message.keeper, Confirmed(message.round, self._transport.rank, own))
        elif isinstance(message, Confirmed):
            if message.round == self._round:
                self._confirmed(message.rank, message.report)
        else:
            self._found = True
            self._transport.give_up(Deadlock(message.text))

    def _ask(self) -> None:
        ended = self._ended()
        for rank in ended:
            self._reports.pop(rank, None)
        members = stuck(self._reports)
        if not members or self._pending - ended:
            return
        self._round += 1
        self._asked = {rank: self._reports[rank] for rank in members}
        self._pending = set(members)
        for rank in members:
            self._send(rank, Confirm(self._round, self._transport.rank))

    def _confirmed(self, rank: int, report: Report | None) -> None:
        if report != self._asked[rank]:  # it went on: it reports again once it waits again
            if self._reports.get(rank) == self._asked[rank]:  # otherwise it has reported again meanwhile
                del self._reports[rank]
            self._pending = set()
            self._round += 1  # what the others still answer is of no use
            self._ask()
            return
        self._pending.discard(rank)
        if not self._pending:
            text = explanation(self._asked, set(self._asked))
            for peer in sorted(set(range(self._transport.size)) - self._ended()):
                self._send(peer, Verdict(text))

    def _send(self, dest: int, message: Control) -> None:
        if dest == self._transport.rank:
            self.take(message)
        else:
            self._transport.control(dest, message)
