"""Logs of several hosts on one stream: whole lines, each tagged with its host, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

Sink = Callable[[str, str], None]
LONGEST = 1 << 20  # bytes of a line before it goes on as another: no log fills the memory


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Chunks of any size to lines; the last one need not end in a newline. A carriage return inside a line
    (a progress bar) stays."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        held.append(first)
        length += len(first)
        for line in rest:
            yield _text(b"".join(held))
            held, length = [line], len(line)
        if length > LONGEST:
            yield _text(b"".join(held))
            held, length = [], 0
    if length:
        yield _text(b"".join(held))


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


class TaggedSink:
    """Writes `algo-1 | line`; one lock, so that lines of two hosts never mix. What the stream's encoding lacks is
    escaped; a reader that went away costs the rest of the stream, not the job."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._gone = False

    def __call__(self, host: str, line: str) -> None:
        text = f"{host} | {line}\n"
        with self._lock:
            if self._gone:
                return
            try:
                self._write(text)
                self._stream.flush()
            except BrokenPipeError:
                self._gone = True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


class FileTee:
    """A sink that also keeps each host's log as `<folder>/<host>/<name>`. Of others, only passes it on."""

    def __init__(self, inner: Sink, folder: Path, hosts: Iterable[str], name: str) -> None:
        self._inner = inner
        self._files: dict[str, TextIO] = {}
        for host in hosts:
            (folder / host).mkdir(parents=True, exist_ok=True)
            self._files[host] = (folder / host / name).open("w", encoding="utf-8", buffering=1)

    def __call__(self, host: str, line: str) -> None:
        if host in self._files:
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
        self.host = host
        self._chunks, self._sink = chunks, sink
        self.error: Exception | None = None
        self.carried = 0

    def run(self) -> None:
        try:
            for line in lines(self._chunks):
                self._sink(self.host, line)
                self.carried += 1
        except Exception as error:  # reported by the supervisor: a broken log must not hide the job's end
            self.error = error

    def drain(self, quiet_s: float) -> None:
        """Waits for the log's end: as long as lines come, and ``quiet_s`` after the last one."""
        while self.is_alive():
            before = self.carried
            self.join(quiet_s)
            if self.carried == before:
                return
