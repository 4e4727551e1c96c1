"""A schedule as a picture: a row a rank, a bar a task with its microbatch's number; a plan below it on the same scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

_WIDTH, _LEFT, _RIGHT, _TOP, _GAP = 1200, 76, 20, 84, 34
_ROW, _BETWEEN, _AXIS = 26, 6, 26
_NARROWEST_NUMBER = 6.4  # pixels that a digit takes
_MOST_ARROWS = 600
_KINDS = {"F": "forward", "B": "backward", "W": "weight gradient"}
# One look by day and one by night; the classes keep to themselves where a page holds the drawing.
_STYLE = """
.timeline { --paper: #ffffff; --ink: #1f2933; --quiet: #66717d; --line: #cbd2d9; --idle: #eef1f4;
  --f: #9cc3e6; --b: #f2b880; --w: #a9d6a0; --arrow: #8a94a0; }
@media (prefers-color-scheme: dark) {
  .timeline { --paper: #14181d; --ink: #e4e8ec; --quiet: #9aa5b1; --line: #3a434d; --idle: #20262d;
    --f: #2f6da3; --b: #a3622a; --w: #3f7d38; --arrow: #6f7b88; }
}
.timeline .paper { fill: var(--paper); } .timeline .idle { fill: var(--idle); }
.timeline text { fill: var(--ink); } .timeline .quiet { fill: var(--quiet); }
.timeline .F { fill: var(--f); } .timeline .B { fill: var(--b); } .timeline .W { fill: var(--w); }
.timeline .F, .timeline .B, .timeline .W { stroke: var(--paper); stroke-width: 0.5; }
.timeline .grid { stroke: var(--line); } .timeline .arrow { stroke: var(--arrow); }
"""


class Bar(NamedTuple):
    """A task: the rank's, of kind F, B or W, for this microbatch; seconds since the step began."""

    rank: int
    kind: str
    microbatch: int
    start: float
    end: float
    name: str = ""


class Arrow(NamedTuple):
    """Tensors on their way."""

    source: int
    to: int
    left: float
    arrived: float


def draw(
    title: str,
    ran: Sequence[Bar],
    idle: dict[int, float],
    arrows: Sequence[Arrow] = (),
    planned: Sequence[Bar] = (),
) -> str:
    """One SVG document. ``idle`` is the share of each rank."""
    last = max((bar.end for bar in (*ran, *planned)), default=0.0) or 1.0
    panels = [("as it ran", list(ran))] + ([("as planned", list(planned))] if planned else [])
    high = len(idle) * (_ROW + _BETWEEN) + _AXIS
    root = _drawing(_TOP + len(panels) * (high + _GAP) - _GAP, title)
    _text(root, 20, 30, title, size=15, bold=True)
    _legend(root, {bar.kind for bar in (*ran, *planned)}, bool(arrows))
    for number, (name, bars) in enumerate(panels):
        panel = SubElement(root, "g", transform=f"translate(0 {_TOP + number * (high + _GAP)})")
        _text(panel, 20, -6, name, size=12, quiet=True)
        _panel(panel, sorted(idle), _merged(bars), last, idle if number == 0 else {})
        if number == 0 and len(arrows) <= _MOST_ARROWS:
            _arrows(panel, sorted(idle), [arrow for arrow in arrows if arrow.arrived <= last], last)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _merged(bars: Iterable[Bar]) -> list[Bar]:
    """Neighbours of one microbatch and kind, with nothing between them, as one."""
    merged: list[Bar] = []
    for _, of_rank in groupby(sorted(bars), key=lambda bar: bar.rank):
        for bar in sorted(of_rank, key=lambda bar: bar.start):
            before = merged[-1] if merged else None
            together = before is not None and before[:3] == bar[:3] and bar.start - before.end < 2e-4
            if before is not None and together:
                names = before.name if bar.name in before.name.split(", ") else f"{before.name}, {bar.name}"
                merged[-1] = before._replace(end=bar.end, name=names.strip(", "))
            else:
                merged.append(bar)
    return merged


def _panel(parent: Element, ranks: list[int], bars: list[Bar], last: float, idle: dict[int, float]) -> None:
    scale, bottom = (_WIDTH - _LEFT - _RIGHT) / last, len(ranks) * (_ROW + _BETWEEN)
    for at in _ticks(last):
        x = _LEFT + at * scale
        line = SubElement(parent, "line", x1=_number(x), x2=_number(x), y1="0", y2=_number(bottom))
        line.set("class", "grid")
        _text(parent, x, bottom + 14, f"{at * 1e3:g} ms", size=10, quiet=True, anchor="middle")
    for row, rank in enumerate(ranks):
        y = row * (_ROW + _BETWEEN)
        _box(parent, _LEFT, y, _WIDTH - _LEFT - _RIGHT, _ROW, "idle")
        _text(parent, 20, y + 12, f"rank {rank}", size=11, bold=True)
        if rank in idle:
            _text(parent, 20, y + 23, f"idle {idle[rank]:.0%}", size=9, quiet=True)
    for bar in bars:
        y = ranks.index(bar.rank) * (_ROW + _BETWEEN)
        x, wide = _LEFT + bar.start * scale, max((bar.end - bar.start) * scale, 0.5)
        one = _box(parent, x, y, wide, _ROW, bar.kind)
        what = f"{_KINDS[bar.kind]} of microbatch {bar.microbatch}"
        SubElement(one, "title").text = f"{what}, {(bar.end - bar.start) * 1e3:.2f} ms\n{bar.name}".strip()
        if wide > _NARROWEST_NUMBER * len(str(bar.microbatch)) + 1:
            label = _text(parent, x + wide / 2, y + 17, str(bar.microbatch), size=11, anchor="middle")
            label.set("pointer-events", "none")


def _arrows(parent: Element, ranks: list[int], arrows: Sequence[Arrow], last: float) -> None:
    scale = (_WIDTH - _LEFT - _RIGHT) / last
    for arrow in arrows:
        down = arrow.to > arrow.source
        y1 = ranks.index(arrow.source) * (_ROW + _BETWEEN) + (_ROW if down else 0)
        y2 = ranks.index(arrow.to) * (_ROW + _BETWEEN) + (0 if down else _ROW)
        x1, x2 = _LEFT + arrow.left * scale, _LEFT + arrow.arrived * scale
        line = SubElement(parent, "line", x1=_number(x1), y1=_number(y1), x2=_number(x2), y2=_number(y2))
        line.set("class", "arrow")


def _legend(root: Element, kinds: set[str], arrows: bool) -> None:
    x = 20.0
    for kind, words in _KINDS.items():
        if kind in kinds:
            _box(root, x, 42, 12, 12, kind)
            _text(root, x + 17, 52, words, size=11)
            x += 35 + 6.4 * len(words)
    if arrows:
        line = SubElement(root, "line", x1=_number(x), y1="48", x2=_number(x + 14), y2="48")
        line.set("class", "arrow")
        _text(root, x + 19, 52, "tensors on their way", size=11)
        x += 155
    _text(root, x, 52, "numbers are microbatches", size=11, quiet=True)


def _ticks(last: float) -> list[float]:
    """Round times, about ten of them."""
    raw = last / 10
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(one for one in (1, 2, 5, 10) if one * power >= raw)
    return [number * step for number in range(int(last / step) + 1)]


def _drawing(high: float, title: str) -> Element:
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    root.set("class", "timeline")
    root.set("viewBox", f"0 0 {_WIDTH} {_number(high)}")
    root.set(
        "font-family", "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
    )
    SubElement(root, "title").text = title
    SubElement(root, "style").text = _STYLE
    _box(root, 0, 0, _WIDTH, high, "paper")
    return root


def _box(parent: Element, x: float, y: float, wide: float, high: float, kind: str) -> Element:
    one = SubElement(parent, "rect", x=_number(x), y=_number(y), width=_number(wide), height=_number(high))
    one.set("class", kind)
    return one


def _text(
    parent: Element,
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    quiet: bool = False,
    bold: bool = False,
    anchor: str = "start",
) -> Element:
    one = SubElement(parent, "text", x=_number(x), y=_number(y))
    one.set("font-size", _number(size))
    one.set("text-anchor", anchor)
    if quiet:
        one.set("class", "quiet")
    if bold:
        one.set("font-weight", "600")
    one.text = words
    return one


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
