"""Shapes and colours of the drawing: presentation attributes only, so that every viewer shows the same."""

from __future__ import annotations

import colorsys
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

INK, QUIET, LINE, PAPER, PANEL, EMPTY = "#1f2933", "#66717d", "#cbd2d9", "#ffffff", "#f5f7fa", "#e9edf1"
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
# Far apart and told apart by eyes that see red and green alike; more partitions than these go round a wheel.
_FEW = ("#4477aa", "#ee6677", "#228833", "#a8820f", "#3a93b5", "#aa3377", "#d9702a", "#777788")


def colour(partition: int, of: int) -> str:
    if of <= len(_FEW):
        return _FEW[partition]
    rgb = colorsys.hls_to_rgb((0.58 + partition / of) % 1, 0.48, 0.5)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def drawing(width: float, height: float, title: str) -> Element:
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    root.set("width", number(width))
    root.set("height", number(height))
    root.set("viewBox", f"0 0 {number(width)} {number(height)}")
    root.set("font-family", FONT)
    SubElement(root, "title").text = title
    box(root, 0, 0, width, height, fill=PAPER)
    return root


def box(
    parent: Element,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = "none",
    stroke: str | None = None,
    radius: float = 0,
    thick: float = 1,
) -> Element:
    one = SubElement(parent, "rect", x=number(x), y=number(y), width=number(width), height=number(height))
    one.set("fill", fill)
    if stroke:
        one.set("stroke", stroke)
        one.set("stroke-width", number(thick))
    if radius:
        one.set("rx", number(radius))
    return one


def text(
    parent: Element,
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    fill: str = INK,
    anchor: str = "start",
    bold: bool = False,
) -> Element:
    one = SubElement(parent, "text", x=number(x), y=number(y), fill=fill)
    one.set("font-size", number(size))
    one.set("text-anchor", anchor)
    if bold:
        one.set("font-weight", "600")
    one.text = words
    return one


def group(parent: Element, x: float, y: float, tip: str = "") -> Element:
    one = SubElement(parent, "g", transform=f"translate({number(x)} {number(y)})")
    if tip:
        SubElement(one, "title").text = tip
    return one


def number(value: float) -> str:
    """Two places at most: the same bytes on every machine."""
    return f"{round(value, 2):g}" if abs(value) < 1e5 else str(round(value))


def written(root: Element) -> str:
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode") + "\n"
