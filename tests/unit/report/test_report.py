"""``shardyard report`` on folders as a run leaves them: the page, and every way in which there is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import shardyard
from shardyard.cli.main import main
from shardyard.errors import ProjectError
from shardyard.local.outputs import clear
from shardyard.report.charts import chart, ticks

COLUMNS = ("resident", "resident_peak", "allocated", "allocated_peak")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="timeline"><rect class="F"><title>F0</title></rect></svg>'
)


def document() -> dict[str, Any]:
    share = {"forward": 0.3, "backward": 0.5, "idle": 0.2, "live": 4, "sent": 16_000.0, "received": 0.0}
    rank = {"host": "algo-1", "device": "cpu", "replica": 0, "clock_error_seconds": 2e-5}
    bytes_of = {name: [3_000_000_000, 4_000_000_000, 4_000_000_000] for name in COLUMNS}
    series = {"function": "train_<step>", "step": [1, 2, 3], "seconds": [1.0, 0.5, 0.5], **bytes_of}
    return {
        "version": 1,
        "settings": {"pipeline": "interleaved", "microbatches": 8, "active_microbatches": 4},
        "ranks": [{"rank": r, "partition": r, **rank} for r in range(2)],
        "functions": [
            {
                "name": "train_<step>",
                "steps": 3,
                "recorded": [2, 3],
                "seconds": 0.4,
                "shares": [{"rank": r, **share} for r in range(2)],
            }
        ],
        "series": [{"rank": 0, "value": [2.5, None, 1.5], **series}, {"rank": 1, "value": [], **series}],
    }


def make_run(folder: Path, found: Any, drawing: str = SVG) -> Path:
    place = folder / "algo-1/output/data/timeline"
    place.mkdir(parents=True, exist_ok=True)
    (folder / "algo-1/log.txt").write_text("done")
    (place / "timeline.json").write_text(found if isinstance(found, str) else json.dumps(found))
    (place / "schedule.svg").write_text(drawing)
    return folder


class Page(HTMLParser):
    """Text, elements and addresses; raises where an element is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", document())
    assert main(["report", str(run)]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == str(run / "report.html")
    text = Path(printed).read_text()
    page = Page(text)
    assert page.addresses == ["https://ui.perfetto.dev"]  # nothing is loaded
    assert not {"script", "link", "img"} & set(page.seen)
    words = " ".join(page.words)
    for said in (
        "20.0 %",
        "16 kB",
        "train_<step>",
        "not a finite number at step 2",
        "4 GB",
        "algo-1",
        "0.02 ms",
    ):
        assert said in words
    assert "train_<step>" not in text  # names are text, not elements
    assert 'class="F"' in text
    assert "prefers-color-scheme: dark" in text
    assert page.seen.count("polyline") == 5  # seconds, and two ranks' memory twice; a lone loss is a dot
    assert page.seen.count("circle") == 2

    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": printed}

    clear(run)  # what the next run does first
    assert not (run / "report.html").exists()


def test_other_places(tmp_path: Path) -> None:
    make_run(tmp_path / "run", document())
    unpacked = tmp_path / "run/algo-1/output/data"
    for folder in (unpacked, unpacked / "timeline"):
        assert shardyard.report(folder, output=tmp_path / "page.html") == tmp_path / "page.html"


def test_a_step_that_returns_no_number_and_one_not_recorded_whole(tmp_path: Path) -> None:
    found = document()
    found["functions"] = []
    for one in found["series"]:
        one["value"] = []
    run = make_run(tmp_path, found)
    (run / "algo-1/output/data/timeline/schedule.svg").unlink()
    text = shardyard.report(run).read_text()
    assert "there is no loss to show" in text
    Page(text)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder.rmdir(), "there is no such folder. Type: shardyard run --timeline"),
        (lambda folder: None, "a run leaves algo-1/log.txt there. Record one with: shardyard run --timeline"),
        (
            lambda folder: (folder / "algo-1").mkdir() or (folder / "algo-1/log.txt").touch(),
            "has no timeline. Record one with: shardyard run --timeline",
        ),
        (lambda folder: make_run(folder, '{"version": 1'), "timeline.json' is damaged: "),
        (lambda folder: make_run(folder, "[]"), "timeline.json' is damaged: "),
        (lambda folder: make_run(folder, {**document(), "version": 2}), "is of version 2"),
        (lambda folder: make_run(folder, document(), "<svg"), "schedule.svg' is damaged: "),
        (lambda folder: make_run(folder, document(), SVG.replace("rect", "script")), "has no <script>"),
        (
            lambda folder: make_run(folder, document(), SVG.replace("class=", "onload=")),
            "schedule.svg' is damaged",
        ),
    ],
)
def test_no_page(tmp_path: Path, make: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    make(folder)
    assert main(["report", str(folder)]) == 2
    outcome = capsys.readouterr()
    assert said in outcome.err
    assert outcome.out == ""
    assert not (folder / "report.html").exists()


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, document())
    assert main(["report", str(run), "-o", str(tmp_path / "none/page.html")]) == 3
    assert "--output FILE" in capsys.readouterr().err
    assert main(["report", str(run), "-o", str(tmp_path)]) == 2


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


PLACES = [path for path in places(document()) if path]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PLACES), value=JSON, drop=st.booleans())
def test_a_damaged_file_is_refused_or_makes_a_page(
    tmp_path: Path, path: tuple[Any, ...], value: Any, drop: bool
) -> None:
    found = copy.deepcopy(document())
    place = found
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    try:
        Page(shardyard.report(make_run(tmp_path, found)).read_text())
    except ProjectError as error:
        refused = error.message
    else:
        refused = ""
    assert not refused or "timeline.json" in refused


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30), st.integers(2, 10))
@example(0.0, 5e-324, 2)
@example(-5e-324, 0.0, 2)
def test_ticks(one: float, other: float, about: int) -> None:
    low, high = sorted((one, other))
    found = ticks(low, high, about)
    assert found == sorted(set(found))
    assert 2 <= len(found) <= about + 3
    slack = max(1e-6 * max(abs(low), abs(high)), 1e-300)
    assert found[0] <= low + slack
    assert found[-1] >= high - slack


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=30))
def test_a_chart_shows_every_value_inside_its_frame(values: list[float | None]) -> None:
    made = chart("x", {"line": list(enumerate(values))}, str, zero=False)
    (line,) = made.lines
    points = [tuple(map(float, one.split(","))) for piece in line.pieces for one in piece.split()] + line.dots
    assert len(points) == sum(value is not None for value in values)
    assert all(0 <= x <= 720 and 0 <= y <= 220 for x, y in points)
