"""The layout as a drawing: hosts and their devices above, the groups that they form below."""

from __future__ import annotations

from shardyard.plan import svg_cards, svg_groups
from shardyard.plan import svg_parts as svg
from shardyard.plan.groups import PURPOSE, Membership
from shardyard.plan.layout import Layout
from shardyard.plan.text import summary

_MARGIN, _TOP, _HOST_HEAD, _PAD, _BETWEEN = 28, 84, 30, 14, 18
_MOST_ACROSS = 8  # cards in a row of a host
_NARROWEST, _TITLE_SIZE = 720, 16


def draw(plan: Layout) -> str:
    """One SVG document. The groups of a chosen rank stand out, the rest steps back."""
    each, of_rank = plan.processes_per_host, plan.chosen
    across = min(each, _MOST_ACROSS)
    rows = -(-each // across)
    wide = across * (svg_cards.WIDTH + svg_cards.GAP) - svg_cards.GAP + 2 * _PAD
    high = _HOST_HEAD + rows * (svg_cards.HEIGHT + svg_cards.GAP) - svg_cards.GAP + _PAD
    columns = _hosts_in_a_row(plan.hosts, wide)
    lines = -(-plan.hosts // columns)
    table_width, table_height = svg_groups.extent(plan)
    hosts_width, hosts_height = columns * (wide + _BETWEEN) - _BETWEEN, lines * (high + _BETWEEN)
    groups_height = 26 + 18 * len(PURPOSE) if of_rank else 0
    title = summary(plan)
    width = 2 * _MARGIN + max(_NARROWEST, hosts_width, table_width, 0.64 * _TITLE_SIZE * len(title[0]))
    height = _TOP + hosts_height + table_height + groups_height + _MARGIN
    root = svg.drawing(width, height, title[0])
    svg.text(root, _MARGIN, 40, title[0], size=_TITLE_SIZE, bold=True)
    svg.text(root, _MARGIN, 62, title[1], size=12, fill=svg.QUIET)
    for host in range(plan.hosts):
        x = _MARGIN + host % columns * (wide + _BETWEEN)
        y = _TOP + host // columns * (high + _BETWEEN)
        svg.box(root, x, y, wide, high, fill=svg.PANEL, stroke=svg.LINE, radius=12)
        svg.text(root, x + _PAD, y + 21, f"algo-{host + 1}", size=13, bold=True)
        for seat in plan.seats[host * each : (host + 1) * each]:
            left = x + _PAD + seat.device % across * (svg_cards.WIDTH + svg_cards.GAP)
            top = y + _HOST_HEAD + seat.device // across * (svg_cards.HEIGHT + svg_cards.GAP)
            svg_cards.card(root, left, top, plan, seat)
    below = _TOP + hosts_height
    svg_groups.table(root, _MARGIN, below, plan)
    if of_rank is not None:
        _groups(root, _MARGIN, below + table_height, of_rank)
    return svg.written(root)


def _groups(root: svg.Element, x: float, y: float, of_rank: Membership) -> None:
    svg.text(root, x, y + 14, f"Groups of rank {of_rank.rank}", size=14, bold=True)
    for row, (kind, members) in enumerate(of_rank.groups.items()):
        name, purpose = PURPOSE[kind]
        shown = ", ".join(map(str, members[:12])) + (", …" if len(members) > 12 else "")
        top = y + 36 + 18 * row
        svg.text(root, x, top, kind.value, size=12, bold=True)
        svg.text(root, x + 40, top, f"{name}: {purpose}", size=12, fill=svg.QUIET)
        svg.text(root, x + 400, top, f"ranks {shown}", size=12)


def _hosts_in_a_row(hosts: int, wide: float) -> int:
    """Narrow hosts stand side by side, up to the width of a page."""
    return max(1, min(hosts, int(1300 // (wide + _BETWEEN))))
