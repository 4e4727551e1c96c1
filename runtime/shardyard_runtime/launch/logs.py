"""The job's log: every line of a rank says which rank on which host wrote it."""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

_TAG = re.compile(r"^\[(?:[^\]@,]*@)?(\d+),(\d+)\]<(stdout|stderr|stddiag)>:")
_PRINT_LOCK = threading.Lock()


def retag(line: str, host_of: Callable[[int], str], separator: str = "") -> str:
    """`[1,3]<stdout>:x` becomes `[1,mpirank:3,algo-2]<stdout>:x`. Open MPI 5 puts a space before the text."""
    found = _TAG.match(line)
    if found is None:
        return line
    job, rank, stream = found[1], int(found[2]), found[3]
    return f"[{job},mpirank:{rank},{host_of(rank)}]<{stream}>:{line[found.end() :].removeprefix(separator)}"


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
            line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
            tagged = retag(line, self._host_of, self._separator)
            if tagged is line:
                self.own_words.append(line)
            with _PRINT_LOCK:
                print(tagged, file=target, flush=True)


def say(text: str) -> None:
    with _PRINT_LOCK:
        print(text, file=sys.stderr, flush=True)
