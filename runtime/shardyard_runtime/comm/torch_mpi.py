"""The transport: one communication thread a rank owns every MPI call.

MPI moves no data while nobody calls it, so a thread of its own polls while anything is outstanding and blocks
when nothing is. A message is a header (pickled structure, with shapes and dtypes) followed by one MPI message a
tensor; MPI does not reorder messages of one pair and tag, and messages are delivered in the order they were
sent. Tensors of a GPU pass through host memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from shardyard_runtime.comm.torch_codec import as_buffer, flatten, to_wire, unflatten

_HEADER, _DATA = 1, 2
_SPINS = 50  # polls without progress before the thread naps
_NAP = 0.0002  # seconds


class CommunicationTimeout(TimeoutError):
    """Nothing arrived within the bound (SHARDYARD_COMM_TIMEOUT seconds, 1800 by default)."""


class CommunicationBroken(RuntimeError):
    """The communication thread of this rank ended with an error; nothing can be sent or received any more."""


@dataclass
class _Incoming:
    key: Any
    structure: bytes
    tensors: list[torch.Tensor]
    devices: list[str]
    requests: list[Any]


@dataclass
class _Outgoing:
    dest: int
    header: bytes
    tensors: list[torch.Tensor]
    requests: list[Any] = field(default_factory=list)


class MpiTransport:
    """Messages ``(key, object)`` between the ranks of a communicator.

    A key with a handler calls it on the communication thread; any other waits in a mailbox for :meth:`receive`.
    """

    def __init__(self, comm: Any, device: torch.device) -> None:
        self._comm = comm
        self._device = device
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        self._bound = float(os.environ.get("SHARDYARD_COMM_TIMEOUT", "1800"))
        self._wake = threading.Event()
        self._posted: deque[_Outgoing] = deque()
        self._sending: list[_Outgoing] = []
        self._arriving: dict[int, deque[_Incoming]] = {}
        self._mail: dict[tuple[int, Any], deque[Any]] = {}
        self._mailed = threading.Condition()
        self._handlers: dict[Any, Callable[[int, Any], None]] = {}
        self._watchers: list[Callable[[BaseException], None]] = []
        self._error: CommunicationBroken | None = None
        self._listeners = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="shardyard-comm", daemon=True)
        self._thread.start()

    def handle(
        self, key: Any, handler: Callable[[int, Any], None], broken: Callable[[BaseException], None]
    ) -> None:
        """Calls ``handler(source, object)`` for each message with this key, on the communication thread.

        ``broken(error)`` is called there once if the thread must end.
        """
        self._handlers[key] = handler
        self._watchers.append(broken)

    def send(self, dest: int, key: Any, obj: Any) -> None:
        """Queues a message and returns at once; later changes of its tensors may or may not be sent.

        Raises CommunicationBroken when this rank's communication has ended.
        """
        if self._error is not None:
            raise self._error
        structure, tensors = flatten(obj)
        wire = [to_wire(t) for t in tensors]
        specs = [(tuple(t.shape), t.dtype, t.device.type) for t in tensors]
        self._posted.append(_Outgoing(dest, pickle.dumps((key, structure, specs), protocol=5), wire))
        self._wake.set()

    def receive(self, source: int, key: Any) -> Any:
        """The next message with this key from this rank.

        Raises CommunicationTimeout with the name of what was awaited, CommunicationBroken like :meth:`send`.
        """
        box = (source, key)
        with self.listening(), self._mailed:
            arrived = self._mailed.wait_for(
                lambda: self._mail.get(box) or self._error is not None, timeout=self._bound
            )
            if self._error is not None and not self._mail.get(box):
                raise self._error
            if not arrived:
                raise CommunicationTimeout(
                    f"rank {self.rank} waited {self._bound:.0f} s for {key!r} from rank {source}: that rank "
                    "did not send it. Check that every rank makes the same calls; SHARDYARD_COMM_TIMEOUT "
                    "sets the bound in seconds"
                )
            return self._mail[box].popleft()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While inside, arriving messages are taken in even when this rank has nothing to send."""
        with self._mailed:
            self._listeners += 1
        self._wake.set()
        try:
            yield
        finally:
            with self._mailed:
                self._listeners -= 1

    def close(self, timeout: float = 10.0) -> None:
        """Ends the thread once what was queued has left, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while (self._posted or self._sending) and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_NAP)
        self._stopping = True
        self._wake.set()
        self._thread.join(max(0.0, deadline - time.monotonic()) + 1.0)

    def enter_thread(self) -> None:
        """For each thread that handles tensors: the current GPU is a thread's own, and 0 in a new one."""
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)

    def _loop(self) -> None:
        try:
            self.enter_thread()
            self._progress()
        except BaseException as error:  # nobody would see it on this thread: those who wait must
            broken = CommunicationBroken(f"the communication of rank {self.rank} broke: {error!r}")
            broken.__cause__ = error
            with self._mailed:
                self._error = broken
                self._mailed.notify_all()
            for watcher in self._watchers:
                watcher(broken)

    def _progress(self) -> None:
        idle = 0
        while not self._stopping:
            idle = 0 if self._poll() else idle + 1
            if idle <= _SPINS:
                continue
            outstanding = self._sending or self._listeners or any(self._arriving.values())
            self._wake.wait(_NAP if outstanding else None)
            self._wake.clear()

    def _poll(self) -> bool:
        posted = self._post()
        finished = [out for out in self._sending if all(r.Test() for r in out.requests)]
        if finished:
            self._sending = [out for out in self._sending if out not in finished]
        return bool(posted or finished) | self._accept() | self._deliver()

    def _post(self) -> int:
        count = 0
        while self._posted:
            out = self._posted.popleft()
            out.requests.append(self._comm.Isend([out.header, len(out.header)], dest=out.dest, tag=_HEADER))
            for tensor in out.tensors:
                if tensor.numel():
                    out.requests.append(self._comm.Isend(as_buffer(tensor), dest=out.dest, tag=_DATA))
            self._sending.append(out)
            count += 1
        return count

    def _accept(self) -> bool:
        from mpi4py import MPI

        status = MPI.Status()
        message = self._comm.Improbe(MPI.ANY_SOURCE, _HEADER, status)
        if message is None:
            return False
        header = bytearray(status.Get_count(MPI.BYTE))
        message.Recv(header)
        key, structure, specs = pickle.loads(header)
        tensors = [torch.empty(shape, dtype=dtype) for shape, dtype, _ in specs]
        source = status.Get_source()
        requests = [self._comm.Irecv(as_buffer(t), source=source, tag=_DATA) for t in tensors if t.numel()]
        incoming = _Incoming(key, structure, tensors, [device for _, _, device in specs], requests)
        self._arriving.setdefault(source, deque()).append(incoming)
        return True

    def _deliver(self) -> bool:
        progressed = False
        for source, queue in self._arriving.items():
            while queue and all(r.Test() for r in queue[0].requests):
                incoming = queue.popleft()
                progressed = True
                tensors = [t.to(d) for t, d in zip(incoming.tensors, incoming.devices, strict=True)]
                obj = unflatten(incoming.structure, tensors)
                handler = self._handlers.get(incoming.key)
                if handler is not None:
                    handler(source, obj)
                    continue
                with self._mailed:
                    self._mail.setdefault((source, incoming.key), deque()).append(obj)
                    self._mailed.notify_all()
        return progressed
