"""Who works together: a row a replica, a column a partition, in each cell the ranks that hold it."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from shardyard.plan import svg_parts as svg
from shardyard.plan.layout import Layout, Seat

_CELL_HEIGHT, _GAP, _HEAD, _FOOT, _LABEL = 26, 6, 62, 34, 84
_MOST_RANKS, _WIDEST = 1024, 2400  # beyond them the table is more than an eye takes in


def extent(plan: Layout) -> tuple[float, float]:
    """Width and height; nothing where the table is left out."""
    place = plan.placement
    width = _LABEL + place.pp_size * (_cell_width(plan) + _GAP)
    if place.size > _MOST_RANKS or width > _WIDEST:
        return 0, 0
    return width, _HEAD + place.rdp_size * (_CELL_HEIGHT + _GAP) + _FOOT


def table(parent: Element, x: float, y: float, plan: Layout) -> None:
    place, wide = plan.placement, _cell_width(plan)
    if not extent(plan)[0]:
        return
    svg.text(parent, x, y + 16, "Who works together", size=14, bold=True)
    for part in range(place.pp_size):
        middle = x + _LABEL + part * (wide + _GAP) + wide / 2
        words = f"partition {part}" if wide >= 70 else str(part)
        hue = svg.colour(part, place.pp_size)
        svg.text(parent, middle, y + _HEAD - 14, words, size=11, fill=hue, anchor="middle", bold=True)
    for replica in range(place.rdp_size):
        top = y + _HEAD + replica * (_CELL_HEIGHT + _GAP)
        svg.text(parent, x, top + 17, f"replica {replica}", size=11, fill=svg.QUIET)
    for seat in plan.seats:
        left = x + _LABEL + seat.partition * (wide + _GAP)
        _rank(parent, left, y + _HEAD + seat.replica * (_CELL_HEIGHT + _GAP), plan, seat)
    foot = y + _HEAD + place.rdp_size * (_CELL_HEIGHT + _GAP) + 16
    svg.text(parent, x, foot, _notes(plan), size=10, fill=svg.QUIET)


def _rank(parent: Element, x: float, y: float, plan: Layout, seat: Seat) -> None:
    """The part of a cell that is one tensor slice."""
    each = _cell_width(plan) / plan.placement.tp_size
    left, chosen = x + seat.tensor * each, plan.chosen
    hue = svg.colour(seat.partition, plan.placement.pp_size)
    filled = svg.box(parent, left + 0.5, y, each - 1, _CELL_HEIGHT, fill=hue, radius=4)
    ink = svg.PAPER
    if chosen and seat.rank == chosen.rank:
        high = _CELL_HEIGHT + 4
        svg.box(parent, left - 1.5, y - 2, each + 3, high, stroke=svg.INK, radius=5, thick=2)
    elif chosen and not chosen.kinds_of(seat.rank):
        filled.set("fill-opacity", "0.2")
        ink = svg.QUIET
    svg.text(parent, left + each / 2, y + 17, str(seat.rank), fill=ink, anchor="middle", bold=True)


def _notes(plan: Layout) -> str:
    place = plan.placement
    notes = {
        "along a row: one copy of the model, through which microbatches flow": place.pp_size > 1,
        "down a column: the same parameters, gradients are averaged": place.rdp_size > 1,
        "in a cell: tensor slices": place.tp_size > 1,
    }
    return "; ".join(note for note, holds in notes.items() if holds)


def _cell_width(plan: Layout) -> float:
    digits = len(str(plan.placement.size - 1))
    return max(74 if plan.placement.pp_size <= 8 else 30, plan.placement.tp_size * (10 + 7 * digits))
