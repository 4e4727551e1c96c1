"""Lines over steps, as the template draws them: coordinates and labels, nothing to compute in the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 220, 74, 14, 12, 26
_LEAST = 1e-300  # values below are drawn as zero: parts of them could not be told apart
MOST_NAMED = 8  # lines with a colour and a name of their own

Points = Sequence[tuple[int, float | None]]  # step, value; None where the line is broken


@dataclass(frozen=True)
class Line:
    name: str
    colour: int  # which of the page's colours; MOST_NAMED for one among many
    pieces: list[str]  # of a polyline each
    dots: list[tuple[float, float]]  # points with no neighbour


@dataclass(frozen=True)
class Tick:
    at: float
    words: str


@dataclass(frozen=True)
class Chart:
    title: str
    lines: list[Line]
    across: list[Tick]
    up: list[Tick]
    note: str = ""


def chart(
    title: str, lines: Mapping[str, Points], words: Callable[[float], str], zero: bool, note: str = ""
) -> Chart:
    """``words`` writes a value on the vertical axis, which begins at 0 with ``zero``."""
    steps = [step for points in lines.values() for step, _ in points]
    values = [value for points in lines.values() for _, value in points if value is not None]
    first, last = min(steps, default=0), max(steps, default=1)
    low, high = (0.0 if zero else min(values, default=0.0)), max(values, default=1.0)
    grid = ticks(low, high, 4)
    low, high = min(low, grid[0]), max(high, grid[-1])

    def x(step: float) -> float:
        return round(LEFT + (step - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low or 1) * (HEIGHT - TOP - BOTTOM), 1)

    named = len(lines) <= MOST_NAMED
    drawn = []
    for number, (name, points) in enumerate(lines.items()):
        whole = _pieces([(x(step), None if value is None else y(value)) for step, value in points])
        pieces = [" ".join(f"{a:g},{b:g}" for a, b in piece) for piece in whole if len(piece) > 1]
        dots = [piece[0] for piece in whole if len(piece) == 1]
        drawn.append(Line(name, number if named else MOST_NAMED, pieces, dots))
    across = [
        Tick(x(step), f"{step:g}")
        for step in ticks(first, last, 8)
        if first <= step <= last and step % 1 == 0
    ]
    return Chart(title, drawn, across, [Tick(y(value), words(value)) for value in grid], note)


def _pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The runs of points that have a value."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``."""
    largest = max(abs(low), abs(high))
    if largest < _LEAST:
        low, high, largest = 0.0, 0.0, 1.0
    span = high - low if high - low > 1e-9 * largest else largest
    power = 10.0 ** math.floor(math.log10(span / about))
    step = power * next(one for one in (1, 2, 5, 10) if one * power >= span / about * 0.999)
    begin, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(begin, max(end, begin + 1) + 1)]
