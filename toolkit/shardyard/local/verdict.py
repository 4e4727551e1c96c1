"""What a failure file says. The launcher gives every host the same text, and which host ends first is chance:
the host that failed is the one that the text names."""

from __future__ import annotations

import re
from collections.abc import Collection

LIMIT = 1024
# `rank 3 on algo-2: ...`, `host algo-2 left the job: ...`, `SIGTERM reached the launcher on algo-2, ...`, and
# `algo-2: ...` from a host that could not take part.
_NAMES_A_HOST = re.compile(
    r"rank \d+ on (?P<rank>[^\s:]+):|host (?P<lost>\S+) left the job:"
    r"|\S+ reached the launcher on (?P<told>[^\s,]+),|(?P<refused>[^\s:]+): "
)
_TRACEBACK = "\n\nTraceback (most recent call last):"


def host_of(text: str, hosts: Collection[str]) -> str | None:
    """The host of the job that this text blames, None where it names none."""
    found = _NAMES_A_HOST.match(text)
    name = found[found.lastgroup] if found and found.lastgroup else None
    return name if name in hosts else None


def without_traceback(text: str) -> str:
    """The cause and the user's own lines; the whole traceback is in the log."""
    return text.partition(_TRACEBACK)[0][:LIMIT].rstrip()
