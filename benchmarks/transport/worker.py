"""One rank: processor time of the communication thread, and seconds from sending to arrival."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import torch

import smdistributed.modelparallel.torch as smp

SECONDS, ROUNDS, LARGE = 5.0, 15, 8 * 2**20


def processor_share(seconds: float, wait: Callable[[], None]) -> float:
    """Share of one core that the communication thread of this rank takes during ``wait``."""
    clock = time.pthread_getcpuclockid(smp.state.runtime.transport._thread.ident)
    before = time.clock_gettime(clock)
    wait()
    return (time.clock_gettime(clock) - before) / seconds


def large_while_computing() -> list[float]:
    seconds = []
    a = torch.randn(256, 256)
    for _ in range(ROUNDS):
        smp.barrier()
        if smp.rank() == 0:
            smp.send((time.monotonic(), torch.ones(LARGE // 4)), 1)
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                a = torch.tanh(a @ a)
        else:
            sent, _ = smp.recv_from(0)
            seconds.append(time.monotonic() - sent)
    return seconds


def round_trips() -> list[float]:
    seconds = []
    for _ in range(200):
        start = time.monotonic()
        if smp.rank() == 0:
            smp.send(None, 1)
            smp.recv_from(1)
        else:
            smp.recv_from(0)
            smp.send(None, 0)
        seconds.append(time.monotonic() - start)
    return seconds


def main() -> None:
    smp.init({"partitions": 2})
    smp.barrier()
    between = processor_share(SECONDS, lambda: time.sleep(SECONDS))
    smp.barrier()
    if smp.rank() == 0:
        time.sleep(SECONDS)
        smp.send(None, 1)
        waiting = None
    else:
        waiting = processor_share(SECONDS, lambda: smp.recv_from(0))
    trips, large = round_trips(), large_while_computing()
    found = {
        "processor_between_steps": round(between, 5),
        "processor_waiting": waiting and round(waiting, 4),
        "round_trip_microseconds": round(statistics.median(trips) * 1e6, 1),
        "large_milliseconds": large and round(statistics.median(large) * 1e3, 1),
    }
    if smp.rank() == 1:
        print(json.dumps(found), flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
