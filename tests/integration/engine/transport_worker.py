"""One rank of the transport's test: two ranks. What is sent arrives while its sender computes, and in order."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import smdistributed.modelparallel.torch as smp

MEGABYTES = 8
WITHIN = 0.05  # seconds
ATTEMPTS = 6  # the machine may be busy with something else: one of them has to be in time


def matmuls() -> None:
    a = torch.randn(256, 256)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        a = torch.tanh(a @ a)


def python() -> None:
    """Holds the interpreter's lock but for the switches that it makes."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        sum(range(1000))


def arrives(compute: Callable[[], None]) -> None:
    seconds = []
    for _ in range(ATTEMPTS):
        smp.barrier()
        if smp.rank() == 0:
            # The clock is the machine's, the same in both processes.
            smp.send((time.monotonic(), torch.ones(MEGABYTES * 2**18)), 1)
            compute()
        else:
            sent, tensor = smp.recv_from(0)
            seconds.append(time.monotonic() - sent)
            assert tensor.sum() == MEGABYTES * 2**18
        if smp.allgather(bool(seconds) and min(seconds) < WITHIN)[1]:
            break
    else:
        raise AssertionError(f"8 MB took {seconds} s while the sender ran {compute.__name__}")
    print(f"arrived {compute.__name__} rank={smp.rank()} {seconds}", flush=True)


def equal_ones() -> None:
    """Many messages alike, of which some leave before others: their tensors are not to be compared."""
    for number in range(3):
        if smp.rank() == 0:
            for _ in range(20):
                smp.send(torch.full((200_000,), float(number)), 1)
        else:
            time.sleep(0.1)  # so that they queue up
            for _ in range(20):
                assert torch.equal(smp.recv_from(0), torch.full((200_000,), float(number)))
    print(f"alike rank={smp.rank()}", flush=True)


def last_words() -> None:
    """What was sent just before the end arrives, although the sender waits for nothing any more."""
    if smp.rank() == 0:
        smp.send(torch.ones(2_000_000), 1)
    else:
        time.sleep(0.3)
        assert smp.recv_from(0).sum() == 2_000_000
    print(f"last rank={smp.rank()}", flush=True)


def main() -> None:
    smp.init({"partitions": 2})
    for compute in (matmuls, python):
        arrives(compute)
    equal_ones()
    last_words()


if __name__ == "__main__":
    main()
