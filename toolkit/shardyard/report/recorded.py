"""What a run's timeline says, as the runtime wrote it when the script ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import ValidationError

from shardyard.errors import ProjectError
from shardyard.project.typed import Section, read

VERSION = 1
_LARGEST = 1e100
_FILE = "timeline.json"
# Of a run's folder, of an output.tar.gz that was unpacked, or the folder itself.
_PLACES = (f"algo-*/output/data/timeline/{_FILE}", f"timeline/{_FILE}", _FILE)
_SWITCH_ON = (
    "Record one with: shardyard run --timeline, or SHARDYARD_TIMELINE=10 in [job] environment; it is written when "
    "the script ends well"
)


@dataclass(frozen=True)
class Settings(Section):
    pipeline: str
    microbatches: int
    active_microbatches: int


@dataclass(frozen=True)
class Rank(Section):
    rank: int
    host: str
    device: str
    partition: int
    replica: int
    clock_error_seconds: float


@dataclass(frozen=True)
class Share(Section):
    """Shares of the pipeline's time, microbatches held at once, bytes a step."""

    rank: int
    forward: float
    backward: float
    idle: float
    live: int
    sent: float
    received: float


@dataclass(frozen=True)
class Function(Section):
    name: str
    steps: int
    recorded: list[int]
    seconds: float
    shares: list[Share]


@dataclass(frozen=True)
class Series(Section):
    """Columns, one entry a step: seconds, the number it returned (empty: none), bytes of memory."""

    function: str
    rank: int
    step: list[int]
    seconds: list[float]
    resident: list[int]
    resident_peak: list[int]
    allocated: list[int]
    allocated_peak: list[int]
    value: list[float | None]


@dataclass(frozen=True)
class Recorded(Section):
    version: int
    settings: Settings
    ranks: list[Rank]
    functions: list[Function]
    series: list[Series]


def find(folder: Path) -> Path:
    """The folder of the run's timeline. Raises ProjectError where there is no run, or none was recorded."""
    if not folder.is_dir():
        raise ProjectError(
            f"no run in {str(folder)!r}: there is no such folder. Type: shardyard run --timeline"
        )
    for pattern in _PLACES:
        for file in sorted(folder.glob(pattern)):
            return file.parent
    if not any(folder.glob("algo-*/log.txt")):
        raise ProjectError(f"no run in {str(folder)!r}: a run leaves algo-1/log.txt there. {_SWITCH_ON}")
    raise ProjectError(f"the run in {str(folder)!r} has no timeline. {_SWITCH_ON}")


def load(folder: Path) -> Recorded:
    """Raises ProjectError where the file is damaged or of another version."""
    file = folder / _FILE
    try:
        text = file.read_text(encoding="utf-8")
        found: Any = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_real)
        version = found.get("version") if isinstance(found, dict) else None
        if isinstance(version, int) and version != VERSION:
            raise ProjectError(
                f"{str(file)!r} is of version {version}, and this shardyard reads version {VERSION}: install the "
                "shardyard that the image was built with"
            )
        recorded = read(Recorded, found)
    except (ValueError, ValidationError) as error:
        said = str(error).splitlines()
        raise damaged(file, " ".join(line.strip() for line in said[:3])) from error
    if why := _inconsistent(recorded):
        raise damaged(file, why)
    return recorded


def _inconsistent(recorded: Recorded) -> str:
    """What the page takes for granted, and does not hold; "" where all of it holds."""
    ranks = [one.rank for one in recorded.ranks]
    if not ranks:
        return "it names no ranks"
    for function in recorded.functions:
        if [share.rank for share in function.shares] != ranks or not function.recorded:
            return f"of {function.name!r} it does not tell steps and shares of each rank"
    for one in recorded.series:
        if any(len(column) != len(one.step) for column in _columns(one)):
            return f"the columns of {one.function!r} on rank {one.rank} have different lengths"
    return ""


def _integer(text: str) -> int:
    return int(_real(text)) if len(text) > 18 else int(text)


def _real(text: str) -> float:
    value = float(text)
    if not abs(value) < _LARGEST:
        raise ValueError(f"{text[:20]} is no number of a timeline")
    return value


def _columns(series: Series) -> tuple[list[Any], ...]:
    return (
        series.seconds,
        series.resident,
        series.resident_peak,
        series.allocated,
        series.allocated_peak,
        series.value or series.step,
    )


def damaged(file: Path, why: str) -> ProjectError:
    return ProjectError(f"{str(file)!r} is damaged: {why}. Run the job again with: shardyard run --timeline")
