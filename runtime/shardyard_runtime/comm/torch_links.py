"""Tensors straight from device to device, beside the messages: over NCCL, or over Gloo by the same protocol.

NCCL wants sends and receives in one order on both sides, and messages come in any order. So a message announces its
tensors; the receiver posts its receives and answers; then the sender sends. Each direction between two ranks has a
communicator, a stream and a thread of its own, made when it is first needed: nothing of one waits for another.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

Spec = tuple[tuple[int, ...], torch.dtype]


def backend_for(device: torch.device) -> str | None:
    """The switch: "nccl" for GPUs where torch has it. None sends tensors over MPI, those of a GPU through the host."""
    return "nccl" if device.type == "cuda" and dist.is_nccl_available() else None


@dataclass
class Transfer:
    """Tensors of one message on their way; they are held until ``done``, the sender's from ``start`` on."""

    tensors: list[torch.Tensor]
    specs: Sequence[Spec] = ()
    start: Any = None  # the event after which a GPU has computed the tensors
    posted: Callable[[], None] | None = None
    done: bool = False
    error: BaseException | None = None
    works: list[Any] = field(default_factory=list)


class Links:
    """The links of one rank to the ranks in ``reachable``. ``wake`` is called when a transfer is done."""

    def __init__(
        self,
        backend: str,
        address: tuple[str, int],
        rank: int,
        reachable: frozenset[int],
        device: torch.device,
        bound: float,
        wake: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._address = address
        self._rank = rank
        self._reachable = reachable
        self._device = device
        self._bound = timedelta(seconds=bound)
        self._wake = wake
        self._links: dict[tuple[int, int], _Link] = {}

    def carries(self, tensor: torch.Tensor, dest: int) -> bool:
        """Whether a tensor goes to ``dest`` by a link."""
        return tensor.device.type == self._device.type and dest in self._reachable and tensor.numel() > 0

    def started(self) -> Any:
        """An event at the present end of the calling thread's stream, where there are streams."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event()
        event.record()
        return event

    def send(self, dest: int, transfer: Transfer) -> None:
        """To be called when the receiver has answered."""
        self._link(self._rank, dest).jobs.put(transfer)

    def receive(self, source: int, transfer: Transfer) -> None:
        """Calls ``transfer.posted`` when the sender may send, on the link's thread."""
        self._link(source, self._rank).jobs.put(transfer)

    def _link(self, sender: int, receiver: int) -> _Link:
        if (sender, receiver) not in self._links:

            def connect() -> Any:
                # A client of its own: one that waits for a key keeps its lock.
                client = dist.TCPStore(*self._address, is_master=False, wait_for_workers=False)
                pair = dist.PrefixStore(f"link/{sender}/{receiver}", client)
                return _group(self._backend, pair, int(self._rank == receiver), self._bound)

            self._links[sender, receiver] = _Link(
                connect, self._device, self._rank == sender, self._wake, f"{sender}-{receiver}"
            )
        return self._links[sender, receiver]


class _Link:
    """One direction between two ranks: transfers one after another, in the order of their announcements."""

    def __init__(
        self,
        connect: Callable[[], Any],
        device: torch.device,
        sends: bool,
        wake: Callable[[], None],
        name: str,
    ) -> None:
        self.jobs: queue.SimpleQueue[Transfer] = queue.SimpleQueue()
        self._connect = connect
        self._device = device
        self._sends = sends
        self._wake = wake
        self._group: Any = None
        threading.Thread(target=self._run, name=f"shardyard-link-{name}", daemon=True).start()

    def _run(self) -> None:
        stream: Any = contextlib.nullcontext()
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
            stream = torch.cuda.stream(torch.cuda.Stream(self._device))
        with stream:
            while True:
                transfer = self.jobs.get()
                try:
                    self._move(transfer)
                except BaseException as error:  # raised where the transfer is looked at
                    transfer.error = error
                transfer.done = True
                self._wake()

    def _move(self, transfer: Transfer) -> None:
        if self._sends:
            self._group = self._group or self._connect()
            if transfer.start is not None:
                torch.cuda.current_stream().wait_event(transfer.start)
            transfer.works = [self._group.send([_bytes(t)], 1, 0) for t in transfer.tensors]
        else:
            assert transfer.posted is not None
            transfer.tensors = [
                torch.empty(shape, dtype=dtype, device=self._device) for shape, dtype in transfer.specs
            ]
            first = self._group is None
            if first:
                transfer.posted()  # both sides have to connect before either can do more
                self._group = self._connect()
            transfer.works = [self._group.recv([_bytes(t)], 0, 0) for t in transfer.tensors]
            if not first:
                transfer.posted()
        self._finish(transfer)

    def _finish(self, transfer: Transfer) -> None:
        """Waits for the transfer's end: with Gloo that is the work's, with NCCL that of this thread's stream."""
        for work in transfer.works:
            work.wait()
        transfer.works = []
        if self._device.type == "cuda":
            end = torch.cuda.Event()
            end.record()
            end.synchronize()
            for (
                tensor
            ) in transfer.tensors:  # from here on used by the default stream: no early reuse of its memory
                tensor.record_stream(torch.cuda.default_stream(self._device))


def _group(backend: str, store: dist.Store, rank: int, timeout: timedelta) -> Any:
    if backend != "nccl":
        return dist.ProcessGroupGloo(store, rank, 2, timeout)
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = timeout
    return dist.ProcessGroupNCCL(store, rank, 2, options)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous tensor as bytes: a backend may not know its dtype."""
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)
