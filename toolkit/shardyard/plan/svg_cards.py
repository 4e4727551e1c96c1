"""One device as a card: which part of the model it holds, and of which replica."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from shardyard.plan import svg_parts as svg
from shardyard.plan.layout import Layout, Seat

WIDTH, HEIGHT, GAP = 140, 132, 10
_MODEL_WIDTH, _MODEL_HEIGHT = 116, 56
_FINEST = 5  # pixels; lines between narrower cells would hide them


def card(parent: Element, x: float, y: float, plan: Layout, seat: Seat) -> None:
    place, of_rank = plan.placement, plan.chosen
    hue = svg.colour(seat.partition, place.pp_size)
    shared = of_rank.kinds_of(seat.rank) if of_rank else []
    chosen = of_rank is not None and seat.rank == of_rank.rank
    faded = of_rank is not None and not shared and not chosen
    one = svg.group(parent, x, y, _tip(plan, seat))
    if faded:
        one.set("opacity", "0.4")
    svg.box(
        one,
        0,
        0,
        WIDTH,
        HEIGHT,
        fill=svg.PAPER,
        stroke=svg.INK if chosen else svg.LINE,
        radius=8,
        thick=2.5 if chosen else 1,
    )
    svg.text(one, 12, 20, f"rank {seat.rank}", size=13, bold=True)
    svg.text(one, WIDTH - 12, 20, f"device {seat.device}", size=9, fill=svg.QUIET, anchor="end")
    _model(one, 12, 30, plan, seat, hue)
    part = f"partition {seat.partition}"
    svg.text(
        one,
        12,
        102,
        part + (f" · slice {seat.tensor}" if place.tp_size > 1 else ""),
        size=11,
        fill=hue,
        bold=True,
    )
    svg.text(one, 12, 119, f"replica {seat.replica}", size=11, fill=svg.QUIET)
    if shared and not chosen:
        names = " ".join(kind.value for kind in shared)
        svg.text(one, WIDTH - 12, 119, names, size=9, anchor="end", bold=True)


def _model(parent: Element, x: float, y: float, plan: Layout, seat: Seat, hue: str) -> None:
    """The whole model as a grid, a row a partition and a column a tensor slice, with this device's cell filled."""
    rows, columns = plan.placement.pp_size, plan.placement.tp_size
    high, wide = _MODEL_HEIGHT / rows, _MODEL_WIDTH / columns
    svg.box(parent, x, y, _MODEL_WIDTH, _MODEL_HEIGHT, fill=svg.EMPTY, radius=3)
    svg.box(parent, x + seat.tensor * wide, y + seat.partition * high, wide, max(high, 1), fill=hue)
    for row in range(1, rows if high >= _FINEST else 1):
        svg.box(parent, x, y + row * high - 0.5, _MODEL_WIDTH, 1, fill=svg.PAPER)
    for column in range(1, columns if wide >= _FINEST else 1):
        svg.box(parent, x + column * wide - 0.5, y, 1, _MODEL_HEIGHT, fill=svg.PAPER)


def _tip(plan: Layout, seat: Seat) -> str:
    tensor = f", tensor slice {seat.tensor} of {plan.placement.tp_size}" if plan.placement.tp_size > 1 else ""
    return (
        f"rank {seat.rank}: algo-{seat.host + 1}, device {seat.device}, "
        f"partition {seat.partition} of {plan.placement.pp_size}{tensor}, replica {seat.replica}"
    )
