"""The job's log: whole lines, nothing lost, and every line of a rank says which rank on which host wrote it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from .config import JobConfig
from .masking import Masker

log = logging.getLogger(__name__)
_masker = Masker()
_TAG = re.compile(r"^\[(?:[^\]@,]*@)?(\d+),(\d+)\]<(stdout|stderr|stddiag)>:")
_PRINT_LOCK = threading.Lock()
_LONGEST = 1 << 20  # of a line that has not ended yet; the rest of it follows as it comes
_CHUNK = 1 << 16


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def start(masker: Masker, level: int = logging.INFO) -> None:
    """From here on every line of our own goes through `masker`, whoever says it."""
    global _masker
    _masker = masker
    logging.basicConfig(level=level, format="%(message)s", handlers=[_Handler()], force=True)


def log_level(config: JobConfig, environ: Mapping[str, str]) -> int:
    """As the job asks, else as the environment says: a number, or a name such as WARNING."""
    asked = config.hyperparameters.get("sagemaker_container_log_level")
    value = environ.get("SAGEMAKER_CONTAINER_LOG_LEVEL") if asked is None else asked
    if value is None or value == "":
        return logging.INFO
    try:
        return int(value)
    except (TypeError, ValueError):
        level = logging.getLevelName(str(value).upper())
    if isinstance(level, int):
        return level
    log.warning("log level %r is neither a number nor a name such as WARNING; INFO holds", value)
    return logging.INFO


def retag(line: str, host_of: Callable[[int], str], separator: str = "") -> str:
    """`[1,3]<stdout>:x` becomes `[1,mpirank:3,algo-2]<stdout>:x`. Open MPI 5 puts a space before the text."""
    found = _TAG.match(line)
    if found is None:
        return line
    job, rank, stream = found[1], int(found[2]), found[3]
    return f"[{job},mpirank:{rank},{host_of(rank)}]<{stream}>:{line[found.end() :].removeprefix(separator)}"


def lines(source: IO[bytes], held: bytearray) -> Iterator[bytes]:
    """Pieces that end where a line or a progress bar's redraw ends. The start of the next one lies in `held`."""
    while chunk := source.read1(_CHUNK):  # type: ignore[attr-defined]
        held += chunk
        end = len(held) if len(held) > _LONGEST else max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if end:
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)
        held.clear()


class Pump:
    """Copies a child's streams to ours, byte for byte, and remembers the end of what it said."""

    def __init__(self, remember: int = 1 << 16) -> None:
        self._threads: list[threading.Thread] = []
        self._held: list[tuple[bytearray, IO[str]]] = []
        self._tail = bytearray()
        self._remember = remember
        self._writing: set[int] = set()
        self._heard = 0.0

    def follow(self, source: IO[bytes], target: IO[str], *, remember: bool = False) -> None:
        self._held.append((bytearray(), target))
        given = (source, target, self._held[-1][0], remember)
        thread = threading.Thread(target=self._copy, args=given, daemon=True)
        thread.start()
        self._threads.append(thread)

    def wait(self, timeout: float) -> None:
        """Until the streams end: with the last process that holds them."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def finish(self, silence: float = 0.5) -> str:
        """Takes what is still on its way and returns the last words. A daemon may hold the streams open for ever."""
        self._heard = time.monotonic()
        for thread in self._threads:
            while thread.is_alive() and (self._writing or time.monotonic() - self._heard < silence):
                thread.join(silence / 10)
        for thread, (held, target) in zip(self._threads, self._held, strict=True):
            if thread.is_alive() and held:
                with contextlib.suppress(OSError):
                    write(bytes(held), target)
        return self._tail.decode("utf-8", errors="replace")

    def _copy(self, source: IO[bytes], target: IO[str], held: bytearray, remember: bool) -> None:
        for piece in lines(source, held):
            self._writing.add(threading.get_ident())
            if remember:
                self._tail += piece
                del self._tail[: -self._remember]
            with contextlib.suppress(OSError):  # the program goes on, whoever listens
                write(piece, target)
            self._heard = time.monotonic()
            self._writing.discard(threading.get_ident())


class LogPump:
    """Copies mpirun's two streams to ours line by line, and remembers mpirun's own last words."""

    def __init__(self, host_of: Callable[[int], str], separator: str = "") -> None:
        self._host_of = host_of
        self._separator = separator
        self._threads: list[threading.Thread] = []
        self.own_words: deque[str] = deque(maxlen=60)

    def follow(self, source: IO[bytes], target: IO[str]) -> None:
        thread = threading.Thread(target=self._copy, args=(source, target), daemon=True)
        thread.start()
        self._threads.append(thread)

    def finish(self, timeout: float = 5.0) -> None:
        for thread in self._threads:
            thread.join(timeout)

    def _copy(self, source: IO[bytes], target: IO[str]) -> None:
        for raw in source:
            line = raw.decode("utf-8", errors="surrogateescape")  # what is no UTF-8 leaves as it came
            tagged = retag(line, self._host_of, self._separator)
            if tagged is line:
                self.own_words.append(raw.decode("utf-8", errors="replace").rstrip("\r\n"))
            with contextlib.suppress(OSError):
                write(tagged.encode("utf-8", errors="surrogateescape"), target)


def say(text: str) -> None:
    """The job does not depend on who listens: a full disk or a closed pipe takes the line, and no more."""
    with contextlib.suppress(OSError):
        write(f"{_masker.mask(text)}\n".encode("utf-8", errors="backslashreplace"), sys.stderr)


def write(data: bytes, target: IO[str]) -> None:
    """As it is, and never in the middle of another line.

    Not through the stream's buffer: what that could not write it would try again at the end, and fail the job.
    """
    with _PRINT_LOCK:
        try:
            descriptor = target.fileno()
        except OSError:  # a test's own stream
            target.write(data.decode("utf-8", errors="replace"))
            return
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # somebody else made the stream so; it is no reason to lose a line
                select.select([], [descriptor], [])
