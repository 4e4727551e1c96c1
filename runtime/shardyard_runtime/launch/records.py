"""What a rank leaves behind when it fails, and the text made of it."""

from __future__ import annotations

import json
import linecache
import os
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

LIMIT = 1024  # what the service shows of the failure file


@dataclass
class FailureRecord:
    time: float
    rank: int
    host: str
    exception: str
    message: str
    exit_code: int
    follow_up: bool = False
    frames: list[str] = field(default_factory=list)
    traceback: str = ""

    def summary(self) -> str:
        """The cause first, then as many of the user's last frames as the limit lets through."""
        head = f"rank {self.rank} on {self.host}: {self.exception}"
        head += f": {self.message}" if self.message else ""
        if len(head) > LIMIT - 324 and self.frames:
            head = head[: LIMIT - 327] + "..."
        kept: list[str] = []
        for frame in reversed(self.frames):
            if len("\n".join([head, frame, *kept])) > LIMIT:
                break
            kept.insert(0, frame)
        return "\n".join([head, *kept])[:LIMIT]

    def text(self) -> str:
        return (
            f"{self.summary()}\n\n{self.traceback}".rstrip() + "\n"
            if self.traceback
            else self.summary() + "\n"
        )


def user_frames(trace: TracebackType | None, code_dir: str, last: int = 4) -> list[str]:
    """The last frames of the user's own files, and the innermost one wherever it lies."""
    every = [
        (frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_tb(trace)
    ]
    own = [item for item in every if os.path.abspath(item[0]).startswith(os.path.join(code_dir, ""))][-last:]
    if every and every[-1] not in own:
        own.append(every[-1])
    return [_frame_text(*item) for item in own]


def _frame_text(filename: str, line: int, function: str) -> str:
    source = linecache.getline(filename, line).strip()
    where = f'  File "{filename}", line {line}, in {function}'
    return f"{where}\n    {source}" if source else where


def describe(error: BaseException) -> str:
    """Its message, also where the class of the user cannot tell it."""
    try:
        return str(error)
    except Exception as second:
        return f"(its message cannot be read: {type(second).__name__})"


def path_of(rank: int, folder: Path) -> Path:
    return folder / f"failure-{rank}.json"


def save(record: FailureRecord, folder: Path) -> None:
    path = path_of(record.rank, folder)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(record)), encoding="utf-8", errors="backslashreplace")
    part.rename(path)


def load_all(folder: Path) -> list[FailureRecord]:
    return [
        FailureRecord(**json.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("failure-*.json"))
    ]


def root_cause(records: list[FailureRecord]) -> FailureRecord | None:
    """The earliest that is no consequence of another; of consequences only, the earliest."""
    return min(records, key=lambda record: (record.follow_up, record.time, record.rank), default=None)
