"""One output stream of a rank, cut into whole lines that say where they come from."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

LONGEST = 1 << 24  # a longer line is broken
OPEN_SECONDS = 5.0  # a line that stays open longer, such as a progress bar, is shown as far as it is


@dataclass
class TaggedLines:
    stream: int  # 1 or 2
    tag: bytes
    _held: bytearray = field(default_factory=bytearray)
    _since: float = 0.0

    def take(self, chunk: bytes) -> bytes:
        """The lines that the chunk completes, tagged."""
        end = chunk.rfind(b"\n") + 1
        if not self._held or end:
            self._since = time.monotonic()
        self._held += chunk[:end] if end else chunk
        if not end:
            return self.rest() if len(self._held) > LONGEST else b""
        del self._held[-1:]
        lines = self.rest()
        self._held += chunk[end:]
        return lines

    def overdue(self) -> bytes:
        late = bool(self._held) and time.monotonic() - self._since > OPEN_SECONDS
        return self.rest() if late else b""

    def rest(self) -> bytes:
        """What is held, whether its last line has ended or not."""
        lines = self.tag + bytes(self._held).replace(b"\n", b"\n" + self.tag) + b"\n"
        self._held.clear()
        return lines

    def last(self) -> bytes:
        return self.rest() if self._held else b""
