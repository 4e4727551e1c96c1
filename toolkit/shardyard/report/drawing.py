"""The drawing of the schedule, taken into the page: only shapes and text, so that nothing in it runs there."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from shardyard.report.recorded import damaged

_FILE = "schedule.svg"
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_SHAPES = {"svg", "g", "rect", "line", "text", "title", "style"}


def drawing(folder: Path) -> str:
    """The SVG's text; "" where no step was recorded whole. Raises ProjectError where it is damaged."""
    file = folder / _FILE
    if not file.is_file():
        return ""
    try:
        text = file.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
    except (ValueError, ElementTree.ParseError) as error:
        raise damaged(file, str(error)) from error
    for one in root.iter():
        name = str(one.tag).removeprefix(_NAMESPACE)
        if name not in _SHAPES or any(attribute.startswith("on") for attribute in one.attrib):
            raise damaged(file, f"a drawing of a schedule has no <{name}> like the one in it")
    ElementTree.register_namespace("", _NAMESPACE.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode")
