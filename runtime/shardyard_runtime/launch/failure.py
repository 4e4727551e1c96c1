"""The cause of a failure that left no record: read from the last words of a program that is not ours."""

from __future__ import annotations

import re
import time

from .records import FailureRecord

_HEAD = "Traceback (most recent call last):"
_LAST_LINE = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$")
_TAIL_LINES = 20


def from_last_words(
    words: str, exit_code: int, host: str, program: str, explanation: str = ""
) -> FailureRecord:
    """A mention of an exception in the middle of a log is none: only a traceback that ended counts."""
    found = None if explanation else _last_traceback(words.splitlines())
    if found is not None:
        exception, message, frames, text = found
    else:
        exception = f"{program} ended with exit code {exit_code}"
        message, text = explanation, ""
        frames = [line for line in words.splitlines() if line.strip()][-_TAIL_LINES:]
    return FailureRecord(time.time(), 0, host, exception, message, exit_code, frames=frames, traceback=text)


def _last_traceback(said: list[str]) -> tuple[str, str, list[str], str] | None:
    starts = [number for number, line in enumerate(said) if line == _HEAD]
    if not starts:
        return None
    body = said[starts[-1] + 1 :]
    end = next((number for number, line in enumerate(body) if line and not line.startswith(" ")), None)
    if end is None or not (cause := _LAST_LINE.match(body[end])):
        return None
    after = [line for line in body[end + 1 :] if line.strip()]
    message = "\n".join([cause[2] or "", *after[:_TAIL_LINES]]).strip()
    return cause[1], message, _frames(body[:end]), "\n".join(said[starts[-1] :])


def _frames(body: list[str], last: int = 4) -> list[str]:
    frames: list[str] = []
    for line in body:
        if line.startswith('  File "'):
            frames.append(line)
        elif frames and not set(line.strip()) <= {"^", "~"}:
            frames[-1] += f"\n{line}"
    return frames[-last:]
