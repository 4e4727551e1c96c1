"""The transport: one communication thread a rank owns every MPI call.

MPI moves no data while nobody calls it, so a thread of its own polls. While somebody here waits: without a pause for a
moment after each progress, then every 0.2 ms, as it does while something is on its way. While this rank computes and may be
sent something: every 2 ms, since each look takes processor time from what it computes. Otherwise seldom. A message is a header (pickled
structure, with shapes and dtypes) followed by one MPI message a tensor; MPI does not reorder messages of one pair, and
messages are delivered in the order they were sent. Tensors of a GPU go by links (torch_links.py) or through host memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch

from shardyard_runtime.comm import torch_collectives
from shardyard_runtime.comm.deadlock import Report
from shardyard_runtime.comm.detector import Control, Deadlock, Detector
from shardyard_runtime.comm.torch_codec import as_buffer
from shardyard_runtime.comm.torch_links import Links, Transfer
from shardyard_runtime.comm.torch_sites import site_of
from shardyard_runtime.comm.torch_wire import (
    CONTROL,
    DATA,
    HEADER,
    Header,
    Incoming,
    Outgoing,
    Ready,
    control,
    outgoing,
)
from shardyard_runtime.comm.waits import Waits

_SPINS = 50  # polls without progress before the thread naps, while somebody waits
_NAP = 0.0002  # seconds between polls while somebody waits, or something is on its way
_GLANCE = 0.002  # seconds between polls while this rank computes and may be sent something
_REST = 0.02  # seconds between polls when nothing is outstanding
_GRACE = 2.0  # seconds that ranks get to raise before a job with a deadlock is ended from outside
_GOODBYE = "goodbye"


class CommunicationTimeout(TimeoutError):
    """Nothing arrived within the bound (SHARDYARD_COMM_TIMEOUT seconds, 1800 by default)."""


class CommunicationBroken(RuntimeError):
    """The communication thread of this rank ended with an error; nothing can be sent or received any more."""


def bound() -> float:
    """Seconds that a rank waits for another one, at most."""
    return float(os.environ.get("SHARDYARD_COMM_TIMEOUT", "1800"))


class MpiTransport:
    """Messages ``(key, object)`` between the ranks of a communicator. A key is a text that says what they are.

    A key with a handler calls it on the communication thread; any other waits in a mailbox for :meth:`receive`.
    """

    def __init__(
        self,
        comm: Any,
        device: torch.device,
        make_links: Callable[[Callable[[], None]], Links | None] = lambda wake: None,
    ) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._status = MPI.Status()
        self._comm = comm
        self._device = device
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        self._bound = bound()
        self._wake = threading.Event()
        self._posted: deque[Outgoing] = deque()
        self._sending: list[Outgoing] = []
        self._announced: dict[int, Outgoing] = {}
        self._arriving: dict[int, deque[Incoming]] = {}
        self._mail: dict[tuple[int, Any], deque[Any]] = {}
        self._mailed = threading.Condition()
        self._handlers: dict[Any, Callable[[int, Any], None]] = {}
        self._watchers: list[Callable[[BaseException], None]] = []
        self._error: BaseException | None = None
        self._listeners = 0
        self._stopping = False
        self._sent, self._taken = [0] * self.size, [0] * self.size
        self._gone: dict[int, dict[str, int]] = {}  # ranks that have ended, and their counts of collectives
        self.waits = Waits()
        self._links = make_links(self._wake.set)
        self._detector = Detector(self, lambda: set(self._gone))
        self._thread = threading.Thread(target=self._loop, name="shardyard-comm", daemon=True)
        self._thread.start()

    # -- for every thread -------------------------------------------------------------------------------------

    def handle(
        self, key: Any, handler: Callable[[int, Any], None], broken: Callable[[BaseException], None]
    ) -> None:
        """Calls ``handler(source, object)`` for each message with this key, on the communication thread.

        ``broken(error)`` is called there once when nothing can be sent or received any more.
        """
        self._handlers[key] = handler
        self._watchers.append(broken)

    def send(self, dest: int, key: Any, obj: Any) -> None:
        """Queues a message and returns at once; later changes of its tensors may or may not be sent.

        Raises CommunicationBroken when this rank's communication has ended, Deadlock when one was found.
        """
        if self._error is not None:
            raise self._error
        if threading.get_ident() != self._thread.ident:
            self.waits.seen()
        self._posted.append(outgoing(dest, key, obj, self._links))
        self._wake.set()

    def receive(self, source: int, key: Any) -> Any:
        """The next message with this key from this rank.

        Raises CommunicationTimeout with the name of what was awaited, Deadlock where it is known that it cannot come,
        CommunicationBroken like :meth:`send`.
        """
        box = (source, key)
        thread = threading.get_ident()

        def settled() -> bool:
            return bool(self._mail.get(box)) or self._error is not None or source in self._gone

        def what() -> list[str]:
            return [f"{key}, at {site_of(thread)}"]

        self.waits.seen()
        with self.listening(), self.waits.waiting((source,), what, lambda: not settled()), self._mailed:
            self._mailed.wait_for(settled, timeout=self._bound)
            if self._mail.get(box):
                return self._mail[box].popleft()
            if self._error is not None:
                raise self._error
            if source in self._gone:
                raise Deadlock(f"rank {self.rank} waits for {key} from rank {source}, whose script has ended")
            raise CommunicationTimeout(
                f"rank {self.rank} waited {self._bound:.0f} s for {key} from rank {source}: that rank "
                "did not send it. Check that every rank makes the same calls; SHARDYARD_COMM_TIMEOUT "
                "sets the bound in seconds"
            )

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While inside, arriving messages are taken in at once even when this rank has nothing to send."""
        with self._mailed:
            self._listeners += 1
        self._wake.set()
        try:
            yield
        finally:
            with self._mailed:
                self._listeners -= 1

    def close(self, patience: float = 60.0) -> None:
        """Tells the others that nothing more comes, and ends the thread once all has left.

        Or after ``patience`` seconds in which nothing leaves: somebody may still wait for it on a busy machine.
        """
        if self._error is None:
            for peer in range(self.size):
                if peer != self.rank and peer not in self._gone:
                    self.send(peer, _GOODBYE, torch_collectives.counts())
        left, deadline = self._unsent(), time.monotonic() + patience
        while left and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_NAP)
            before, left = left, self._unsent()
            if left < before:
                deadline = time.monotonic() + patience
        self._stopping = True
        self._wake.set()
        self._thread.join(patience)

    def _unsent(self) -> int:
        return sum(out.dest not in self._gone for out in (*self._posted, *self._sending))

    def enter_thread(self) -> None:
        """For each thread that runs the script's code: the current GPU is a thread's own, and 0 in a new one."""
        self.waits.work_here()
        self._set_device()

    def _set_device(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)

    # -- the communication thread -----------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            self._set_device()
            self._progress()
        except BaseException as error:  # nobody would see it on this thread: those who wait must
            broken = CommunicationBroken(f"the communication of rank {self.rank} broke: {error!r}")
            broken.__cause__ = error
            self._break(broken)

    def _break(self, error: BaseException) -> None:
        with self._mailed:
            self._error = error
            self._mailed.notify_all()
        for watcher in self._watchers:
            watcher(error)

    def _progress(self) -> None:
        idle = 0
        while not self._stopping:
            idle = 0 if self._poll() else idle + 1
            waited = self.waits.any
            if idle <= (_SPINS if waited else 1):
                continue
            self._detector.look(time.monotonic())
            if waited or self._sending or any(self._arriving.values()):
                pause = _NAP
            else:
                pause = _GLANCE if self._listeners else _REST
            self._wake.wait(pause)
            self._wake.clear()

    def _poll(self) -> bool:
        posted = self._post()
        before = len(self._sending)
        if before:
            self._sending = [out for out in self._sending if not self._left(out)]
        return posted or len(self._sending) < before or self._accept() | self._deliver()

    def _post(self) -> bool:
        posted = bool(self._posted)
        while self._posted:
            out = self._posted[0]  # it stays there until it is among those being sent: close() looks at both
            out.requests.append(self._comm.Isend([out.head, len(out.head)], dest=out.dest, tag=out.tag))
            for tensor in out.tensors:
                if tensor.numel():
                    out.requests.append(self._comm.Isend(as_buffer(tensor), dest=out.dest, tag=DATA))
            if out.transfer is not None:
                self._announced[out.number] = out
            if out.tag == HEADER:
                self._sent[out.dest] += 1
            self._sending.append(out)
            self._posted.popleft()
        return posted

    def _left(self, out: Outgoing) -> bool:
        if out.requests and self._mpi.Request.Testall(out.requests):
            out.requests, out.tensors = [], []
        return not out.requests and _done(out.transfer)

    def _accept(self) -> bool:
        status = self._status
        message = self._comm.Improbe(self._mpi.ANY_SOURCE, self._mpi.ANY_TAG, status)
        if message is None:
            return False
        head = bytearray(status.Get_count(self._mpi.BYTE))
        message.Recv(head)
        source = status.Get_source()
        if status.Get_tag() == CONTROL:
            self._control(source, pickle.loads(head))
            return True
        header: Header = pickle.loads(head)
        tensors = header.buffers()
        requests = [self._comm.Irecv(as_buffer(t), source=source, tag=DATA) for t in tensors if t.numel()]
        transfer = self._await_transfer(source, header) if header.linked else None
        incoming = Incoming(header, tensors, requests, transfer)
        self._arriving.setdefault(source, deque()).append(incoming)
        return True

    def _await_transfer(self, source: int, header: Header) -> Transfer:
        assert self._links is not None
        answer = control(source, Ready(header.transfer))
        transfer = Transfer([], header.link_specs(), posted=lambda: self._answer(answer))
        self._links.receive(source, transfer)
        return transfer

    def _answer(self, answer: Outgoing) -> None:
        self._posted.append(answer)
        self._wake.set()

    def _control(self, source: int, message: Control | Ready) -> None:
        """Beside the order of messages, for what one of them may be waiting for."""
        if isinstance(message, Ready):
            out = self._announced.pop(message.transfer)
            assert self._links is not None
            assert out.transfer is not None
            self._links.send(source, out.transfer)
        else:
            self._detector.take(message)

    def _deliver(self) -> bool:
        progressed = False
        for source, waiting in self._arriving.items():
            while waiting and self._whole(waiting[0]):
                incoming = waiting.popleft()
                progressed = True
                self._hand_over(source, incoming.header.key, incoming.object())
                self._taken[source] += 1
        return progressed

    def _whole(self, incoming: Incoming) -> bool:
        if incoming.requests and self._mpi.Request.Testall(incoming.requests):
            incoming.requests = []
        return not incoming.requests and _done(incoming.transfer)

    def _hand_over(self, source: int, key: Any, obj: Any) -> None:
        handler = self._handlers.get(key)
        if handler is not None:
            handler(source, obj)
            return
        with self._mailed:
            if key == _GOODBYE:
                self._gone[source] = obj
            else:
                self._mail.setdefault((source, key), deque()).append(obj)
            self._mailed.notify_all()

    # -- what the detector asks -------------------------------------------------------------------------------

    def report(self) -> Report | None:
        """What this rank waits for; None while one of its threads may go on, or something has not left it."""
        if (
            any(out.tag == HEADER for out in tuple(self._posted))
            or self._sent[self.rank] != self._taken[self.rank]
        ):
            return None
        made = torch_collectives.counts()
        sent, taken, gone = tuple(self._sent), tuple(self._taken), dict(self._gone)
        wait = self.waits.of_rank()
        if wait is not None:
            what = tuple(wait.what())
            return Report(self.rank, wait.serial, wait.on, what, sent, taken, gone, None, made)
        entered = torch_collectives.entered(self.waits.working) if self.waits.others_wait() else None
        if entered is None:
            return None
        call, text = entered
        return Report(self.rank, -1, call.needs, (text,), sent, taken, gone, call, made)

    def control(self, dest: int, message: Control) -> None:
        self._posted.append(control(dest, message))

    def give_up(self, error: Deadlock) -> None:
        """Raises the error wherever this rank waits; ends the job from here where that cannot be."""
        inside = torch_collectives.entered(self.waits.working) is not None
        self._break(error)
        if not inside:
            return
        sys.stderr.write(f"rank {self.rank}: {error}\n")
        sys.stderr.flush()
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:  # the verdict has to leave, and others may say it better
            self._poll()
            time.sleep(_NAP)
        self._comm.Abort(1)


def _done(transfer: Transfer | None) -> bool:
    if transfer is not None and transfer.error is not None:
        raise transfer.error
    return transfer is None or transfer.done
