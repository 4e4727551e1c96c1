"""The engine's answer streams: one JSON object an event. An error is an event, not an HTTP status, so it is
looked for in every event."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from shardyard.engines.base import Event, Listener
from shardyard.errors import JobError

LOG_TAIL = 20
_UPLOADED = "Pushed"


class StreamError(Exception):
    """An `error` event; `tail` holds the last lines of output before it."""

    def __init__(self, message: str, tail: list[str]) -> None:
        super().__init__(message)
        self.message = message
        self.tail = tail


def error_of(event: Event) -> str | None:
    """The error text of an event: `errorDetail.message` where there is one, else `error`."""
    detail = event.get("errorDetail")
    if isinstance(detail, dict) and detail.get("message"):
        return str(detail["message"])
    if event.get("error"):
        return str(event["error"])
    return "the engine reported an error without a text" if detail is not None else None


def checked(events: Iterable[Event], listener: Listener | None = None) -> Iterator[Event]:
    """Yields the events, tells the listener of each, and raises StreamError at the first error."""
    tail: deque[str] = deque(maxlen=LOG_TAIL)
    for event in events:
        if listener is not None:
            listener(event)
        message = error_of(event)
        if message is not None:
            raise StreamError(message.strip(), list(tail))
        tail.extend(line for line in str(event.get("stream") or "").splitlines() if line.strip())
        yield event


def aux(events: Iterable[Event], key: str) -> tuple[str | None, list[Event]]:
    """The last `aux.<key>` of a stream, and all its events."""
    found: str | None = None
    seen: list[Event] = []
    for event in events:
        seen.append(event)
        extra = event.get("aux")
        if isinstance(extra, dict) and extra.get(key):
            found = str(extra[key])
    return found, seen


def uploaded_layers(events: Iterable[Event]) -> set[str]:
    """Short ids of the layers that a push had to send."""
    return {str(e["id"]) for e in events if e.get("status") == _UPLOADED and e.get("id")}


def build_failed(tag: str, error: StreamError) -> JobError:
    """The end of a build, with the step and what it said last."""
    step = failed_step(error.tail)
    where = f" at {step!r}" if step else ""
    lines = "\n".join(f"  {line}" for line in error.tail)
    return JobError(f"the build of {tag!r} failed{where}: {error.message}\nThe last lines:\n{lines}")


def failed_step(tail: Iterable[str]) -> str | None:
    """The last `Step 4/9 : RUN ...` of a build's output; BuildKit writes `#7 [4/9] RUN ...`."""
    steps = [line for line in tail if re.match(r"Step \d+/\d+ :|#\d+ \[[^\]]*\d+/\d+\] ", line)]
    return steps[-1] if steps else None
