"""Logs of several hosts on one stream: whole lines, each tagged with its host, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

Sink = Callable[[str, str], None]


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Chunks of any size to lines; the last one need not end in a newline. A carriage return inside a line
    (a progress bar) stays."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        *whole, rest = bytes(held).split(b"\n")
        if whole:
            held = bytearray(rest)
        for line in whole:
            yield line.decode("utf-8", errors="replace").rstrip("\r")
    if held:
        yield held.decode("utf-8", errors="replace").rstrip("\r")


class TaggedSink:
    """Writes `algo-1 | line`; one lock, so that lines of two hosts never mix."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, host: str, line: str) -> None:
        with self._lock:
            self._stream.write(f"{host} | {line}\n")
            self._stream.flush()


class FileTee:
    """A sink that also keeps each host's log as `<folder>/<host>/log.txt`."""

    def __init__(self, inner: Sink, folder: Path, hosts: Iterable[str]) -> None:
        self._inner = inner
        self._files: dict[str, TextIO] = {}
        for host in hosts:
            (folder / host).mkdir(parents=True, exist_ok=True)
            self._files[host] = (folder / host / "log.txt").open("w", encoding="utf-8")

    def __call__(self, host: str, line: str) -> None:
        self._files[host].write(line + "\n")
        self._inner(host, line)

    def __enter__(self) -> FileTee:
        return self

    def __exit__(self, *ending: object) -> None:
        for file in self._files.values():
            file.close()


class Pump(threading.Thread):
    """Carries one host's log to the sink until it ends."""

    def __init__(self, host: str, chunks: Iterable[bytes], sink: Sink) -> None:
        super().__init__(name=f"log-{host}", daemon=True)
        self._host, self._chunks, self._sink = host, chunks, sink
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for line in lines(self._chunks):
                self._sink(self._host, line)
        except Exception as error:  # reported by the supervisor: a broken log must not hide the job's end
            self.error = error
