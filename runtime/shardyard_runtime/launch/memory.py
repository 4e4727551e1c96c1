"""What the kernel counted when this container ran out of memory."""

from __future__ import annotations

import contextlib
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_PLACES = (  # counters and limit, in the second and in the first version of control groups
    ("memory.events", "memory.max"),
    ("memory/memory.oom_control", "memory/memory.limit_in_bytes"),
)
_NO_LIMIT = 1 << 60


class MemoryWatch:
    """Counts from its making on."""

    def __init__(self, root: Path = CGROUPS) -> None:
        self._root = root
        self._before = self._kills()

    def note(self, host: str) -> str:
        """A sentence when the kernel ended processes here for lack of memory; else nothing."""
        kills = self._kills() - self._before
        if kills <= 0:
            return ""
        limit = self._limit()
        at = f" at the container's limit of {limit >> 20} MiB" if limit else ""
        return (
            f"out of memory: the kernel ended {kills} process(es) on {host}{at}. "
            "Give it more memory or a smaller batch"
        )

    def _kills(self) -> int:
        for counters, _ in _PLACES:
            with contextlib.suppress(OSError, ValueError):
                for line in (self._root / counters).read_text("ascii").splitlines():
                    name, _, count = line.partition(" ")
                    if name == "oom_kill":
                        return int(count)
        return 0

    def _limit(self) -> int:
        for _, limit in _PLACES:
            with contextlib.suppress(OSError, ValueError):
                found = int((self._root / limit).read_text("ascii"))
                return found if found < _NO_LIMIT else 0
        return 0


def offer_to_the_kernel() -> None:
    """This process goes before the launcher and mpirun when memory runs out, so that somebody can say so."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
