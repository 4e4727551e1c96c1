"""One clock for all ranks: that of rank 0. Hosts' monotonic clocks begin anywhere, and none runs at quite the same rate.

A rank asks rank 0 for its time, over and over. Of the shortest round trip rank 0's answer was given half way, give or
take half of it (Cristian, Probabilistic clock synchronization, 1989). Both ends answer on their communication
threads, so that the way out and the way back are alike. What is read at the start and at the end gives the rate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shardyard_runtime.comm.torch_mpi import CommunicationTimeout, MpiTransport, bound

_ASK, _TELL = "timeline: rank 0's time", "timeline: rank 0's time is"
_TRIPS = 100


class Trip(NamedTuple):
    """Nanoseconds: left and came back by the asker's clock, answered by rank 0's."""

    left: int
    answered: int
    back: int


class Reading(NamedTuple):
    """At ``at`` of a rank's clock, rank 0's showed ``offset`` more, within ``error``."""

    at: int
    offset: int
    error: int


def reading(trips: Sequence[Trip]) -> Reading:
    best = min(trips, key=lambda trip: trip.back - trip.left)
    half_way = (best.left + best.back) // 2
    return Reading(half_way, best.answered - half_way, (best.back - best.left) // 2)


class OneClock:
    """Turns times of a rank's clock into rank 0's, by one reading or by a line through the first and the last."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._first, self._last = readings[0], readings[-1]
        self.error = max(one.error for one in readings)

    def __call__(self, at: int) -> int:
        first, last = self._first, self._last
        apart = last.at - first.at
        drift = (last.offset - first.offset) * (at - first.at) // apart if apart > 0 else 0
        return at + first.offset + drift


class Clocks:
    """Asks, and on rank 0 answers. Every rank makes one before any of them reads."""

    def __init__(self, transport: MpiTransport, clock: Callable[[], int]) -> None:
        self._transport = transport
        self._clock = clock
        self._trips: list[Trip] = []
        self._through = threading.Event()
        transport.handle(_ASK, self._answer, self._broken)
        transport.handle(_TELL, self._told, self._broken)

    def read(self) -> Reading:
        """Raises CommunicationTimeout where rank 0 does not answer."""
        if self._transport.rank == 0:
            return Reading(self._clock(), 0, 0)
        self._trips = []
        self._through.clear()
        waits = self._transport.waits
        with self._transport.listening(), waits.waiting((0,), lambda: [_ASK], self._under_way):
            self._ask()
            if not self._through.wait(bound()) or not self._trips:
                raise CommunicationTimeout("rank 0 did not tell its time for the timeline")
        return reading(self._trips)

    def _under_way(self) -> bool:
        return not self._through.is_set()

    def _ask(self) -> None:
        self._transport.send(0, _ASK, self._clock())

    def _answer(self, source: int, left: int) -> None:
        self._transport.send(source, _TELL, (left, self._clock()))

    def _told(self, source: int, times: tuple[int, int]) -> None:
        self._trips.append(Trip(*times, self._clock()))
        if len(self._trips) < _TRIPS:
            self._ask()
        else:
            self._through.set()

    def _broken(self, error: BaseException) -> None:
        self._through.set()
