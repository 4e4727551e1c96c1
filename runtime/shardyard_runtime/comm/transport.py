"""What the engine asks of a transport. It is that of MPI (torch_mpi.py), or something around it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from shardyard_runtime.comm.waits import Waits


class Transport(Protocol):
    """Messages ``(key, object)`` between ranks; the methods are explained at MpiTransport."""

    rank: int
    waits: Waits

    def send(self, dest: int, key: Any, obj: Any) -> None: ...

    def handle(
        self, key: Any, handler: Callable[[int, Any], None], broken: Callable[[BaseException], None]
    ) -> None: ...

    def listening(self) -> contextlib.AbstractContextManager[None]: ...

    def enter_thread(self) -> None: ...
