"""The drawing of plan: what is on it is measured, for any degrees and strategy."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shardyard
from shardyard.cli.main import main
from shardyard.plan import svg_parts
from shardyard.plan.groups import membership
from shardyard.plan.layout import Layout, Seat
from shardyard.plan.svg import draw
from shardyard.plan.text import draw as draw_text
from shardyard_runtime.config.parameters import SmpConfig
from shardyard_runtime.config.placement import Group, Placement

SVG = "{http://www.w3.org/2000/svg}"
PROJECT = """
[image]
name = "demo"
base = "demo-base"
device = "cpu"
[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 4, ddp = true }
[distribution.mpi]
enabled = true
processes_per_host = 8
"""


def layout_of(pp: int, tp: int, rdp: int, hosts: int = 1, strategy: str = "cluster") -> Layout:
    place = Placement(pp, tp, rdp, strategy)
    each = place.size // hosts
    at = [place.coordinates(rank) for rank in range(place.size)]
    seats = [
        Seat(rank, rank // each, rank % each, one["P"], one["T"], one["D"]) for rank, one in enumerate(at)
    ]
    config = SmpConfig(pipeline_parallel_degree=pp, tensor_parallel_degree=tp, placement_strategy=strategy)
    return Layout(hosts, each, place, config, tuple(seats))


def rectangles(
    node: ElementTree.Element, x: float = 0, y: float = 0
) -> list[tuple[float, float, float, float]]:
    """Every rectangle below a node, in the coordinates of the page."""
    move = node.get("transform", "translate(0 0)").removeprefix("translate(").rstrip(")").split()
    x, y = x + float(move[0]), y + float(move[1])
    found = []
    if node.tag == SVG + "rect":
        left, top, wide, high = (float(node.get(name, "0")) for name in ("x", "y", "width", "height"))
        found.append((x + left, y + top, wide, high))
    return found + [one for child in node for one in rectangles(child, x, y)]


def cards(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [node for node in root.iter(SVG + "g") if (node.findtext(SVG + "title") or "").startswith("rank ")]


@settings(max_examples=60, deadline=None)
@given(
    degrees=st.tuples(*[st.sampled_from((1, 2, 3, 4, 8))] * 3),
    strategy=st.sampled_from(["cluster", "spread", *map("".join, itertools.permutations("DPT"))]),
    data=st.data(),
)
def test_a_card_for_every_rank_inside_the_page_and_beside_each_other(
    degrees: tuple[int, int, int], strategy: str, data: st.DataObject
) -> None:
    size = degrees[0] * degrees[1] * degrees[2]
    hosts = data.draw(st.sampled_from([one for one in range(1, 17) if size % one == 0]))
    plan = layout_of(*degrees, hosts=hosts, strategy=strategy)
    if data.draw(st.booleans()):
        plan = replace(plan, chosen=membership(plan.placement, data.draw(st.integers(0, size - 1))))
    root = ElementTree.fromstring(draw(plan))
    assert len(cards(root)) == size
    wide, high = float(root.get("width", 0)), float(root.get("height", 0))
    for x, y, across, down in rectangles(root):
        assert across > 0
        assert down > 0
        assert -0.01 <= x <= x + across <= wide + 0.01
        assert -0.01 <= y <= y + down <= high + 0.01
    outlines = sorted(rectangles(card)[0] for card in cards(root))
    for one, other in itertools.combinations(outlines[:64], 2):
        apart_x = one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
        assert apart_x or one[1] + one[3] <= other[1] or other[1] + other[3] <= one[1]


def test_each_card_says_what_its_rank_holds() -> None:
    plan = layout_of(2, 2, 2, hosts=2, strategy="spread")
    for seat, card in zip(plan.seats, cards(ElementTree.fromstring(draw(plan))), strict=True):
        words = [node.text for node in card.iter(SVG + "text")]
        assert words[:2] == [f"rank {seat.rank}", f"device {seat.device}"]
        assert f"partition {seat.partition} · slice {seat.tensor}" in words
        assert f"replica {seat.replica}" in words
        filled = [
            node
            for node in card.iter(SVG + "rect")
            if node.get("fill") == svg_parts.colour(seat.partition, 2)
        ]
        model = list(card.iter(SVG + "rect"))[1]
        across = float(filled[0].get("x", 0)) - float(model.get("x", 0))
        down = float(filled[0].get("y", 0)) - float(model.get("y", 0))
        assert across == pytest.approx(seat.tensor * float(model.get("width", 0)) / 2)
        assert down == pytest.approx(seat.partition * float(model.get("height", 0)) / 2)


def test_partitions_have_colours_of_their_own() -> None:
    for count in (1, 4, 8, 9, 64):
        assert len({svg_parts.colour(one, count) for one in range(count)}) == count


def test_groups_of_a_rank_are_those_of_the_runtime() -> None:
    plan = layout_of(2, 2, 2, strategy="DTP")
    for rank in range(8):
        mine = membership(plan.placement, rank)
        for kind, members in mine.groups.items():
            assert members == plan.placement.group(kind, rank)
        assert set(mine.groups) == set(Group) - {Group.WORLD}


def test_the_vendors_figure_two_way_data_by_four_way_model_over_eight_gpus(tmp_path: Path) -> None:
    (tmp_path / "shardyard.toml").write_text(PROJECT)
    plan = shardyard.plan(tmp_path, rank=5, svg=tmp_path / "plan.svg")
    assert plan.as_dict()["chosen"]["pp_group"] == {"ranks": [4, 5, 6, 7], "rank": 1}
    assert plan.as_dict()["chosen"]["rdp_group"] == {"ranks": [1, 5], "rank": 1}
    words = [node.text for node in ElementTree.parse(tmp_path / "plan.svg").iter(SVG + "text")]
    assert "Groups of rank 5" in words
    assert "ranks 1, 5" in words
    text = draw_text(plan)
    assert "8 ranks = 1 host × 8 processes = 4 pipeline × 1 tensor × 2 replicas" in text
    assert "device 5  rank 5  ·█··  partition 1  replica 1   ◀ pp rdp dp mp" in text
    assert draw(plan) == (tmp_path / "plan.svg").read_text(encoding="utf-8")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shardyard.toml").write_text(PROJECT)
    words = ["plan", "-p", str(tmp_path), "--json", "--rank", "0", "--svg", str(tmp_path / "a.svg")]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["chosen"]["rank"] == 0
    assert "a.svg" in captured.err
    assert main(["plan", "-p", str(tmp_path), "--rank", "8"]) == 2
    assert "use 0 to 7" in capsys.readouterr().err
    assert main(["plan", "-p", str(tmp_path), "--svg", str(tmp_path / "no" / "a.svg")]) == 3


def test_more_ranks_than_can_be_drawn(tmp_path: Path) -> None:
    (tmp_path / "shardyard.toml").write_text(PROJECT)
    with pytest.raises(shardyard.ProjectError, match="more than can be drawn"):
        shardyard.plan(tmp_path, overrides={"job.instance_count": 10**9})
