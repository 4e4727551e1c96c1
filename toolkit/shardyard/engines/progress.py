"""Live progress of builds, pulls and pushes on standard error."""

from __future__ import annotations

import os
import re
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from shardyard.engines.base import Event
from shardyard.engines.plain_text import Lines, plain

if TYPE_CHECKING:
    from shardyard.engines.bars import Bars


class ConsoleProgress:
    """A listener of stream events: build output as lines, layer transfers as bars. Where there is no terminal: plain
    lines, one a layer and status, however often it is repeated."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._lines = Lines()
        self._said: dict[str, str] = {}

    def __enter__(self) -> ConsoleProgress:
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from shardyard.engines.bars import Bars  # rich, which nobody else needs

            self._bars = Bars()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.rest():
            self._say(line)
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        for line in self._lines.of(str(event.get("stream") or "")):
            self._say(line)
        status = event.get("status")
        if status:
            self._transfer(str(event.get("id") or ""), str(status), event.get("progressDetail"))

    def _say(self, line: str) -> None:
        if self._bars is not None:
            self._bars.say(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _transfer(self, layer: str, status: str, detail: object) -> None:
        numbers = detail if isinstance(detail, dict) else {}
        if self._bars is not None and layer and numbers.get("total"):
            self._bars.show(layer, status, numbers.get("current", 0), numbers["total"])
            return
        if self._bars is not None:
            self._bars.done(layer)
        kind = re.sub(r"\d+", "#", status)  # "Retrying in 5 seconds" comes every second
        if self._said.get(layer) != kind or not layer:
            self._said[layer] = kind
            self._say(plain(f"{layer}: {status}" if layer else status))


def silent(event: Event) -> None:
    """A listener that says nothing."""
