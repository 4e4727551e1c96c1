"""The timeline under a real mpirun: whatever a step did is in it, on one clock; without it there is nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.timeline_worker import ACTIVE, KEPT, MICROBATCHES, STEPS

WORKER = "tests.integration.engine.timeline_worker"


def losses_of(stdout: str) -> list[float]:
    found: list[float] = json.loads(next(line for line in stdout.splitlines() if line.startswith("[")))
    return found


def tasks(events: list[dict[str, Any]], rank: int) -> list[dict[str, Any]]:
    return [e for e in events if e["ph"] == "X" and e["pid"] == rank and e["tid"] == 1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"partitions": 2, "ddp": True, "pipeline": "interleaved"},
        {"partitions": 2, "pipeline": "simple", "deterministic_server": True},
    ],
    ids=["replicas", "simple"],
)
def test_timeline(parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SHARDYARD_TIMELINE", str(KEPT))
    ranks = 4 if parameters.get("ddp") else 2
    done = mpirun(ranks, WORKER, json.dumps(parameters))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    folder = tmp_path / "timeline"
    assert f"timeline: written to {folder}" in done.stderr
    found = json.loads((folder / "timeline.json").read_text())
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    drawing = ElementTree.parse(folder / "schedule.svg").getroot()
    ran, planned = drawing.findall("{*}g")  # from the third step on there is a plan
    for panel in (ran, planned):
        for kind in "FB":
            bars = [one for one in panel.iterfind(".//{*}rect") if one.get("class") == kind]
            assert len(bars) >= MICROBATCHES * ranks

    train, evaluate = found["functions"]
    last = list(range(STEPS - KEPT + 1, STEPS + 1))
    assert (train["name"], train["steps"], train["recorded"]) == ("train_step", STEPS, last)
    assert (evaluate["name"], evaluate["recorded"]) == ("evaluate", [STEPS + 1])
    assert [one["partition"] for one in found["ranks"]] == [0, 1] * (ranks // 2)
    assert "of which 3 to 5 are recorded" in done.stderr
    for share in train["shares"]:
        assert 1 <= share["live"] <= ACTIVE
        assert share["forward"] + share["backward"] + share["idle"] == pytest.approx(1)
        assert share["sent"] >= 4 * 32 * 4 * MICROBATCHES  # an activation or its gradient a microbatch
        assert share["received"] > 0

    first = next(one for one in found["series"] if one["rank"] == 0 and one["function"] == "train_step")
    if ranks == 2:
        assert first["value"] == pytest.approx(losses_of(done.stdout))
    assert len(first["resident"]) == STEPS
    assert not next(one for one in found["series"] if one["function"] == "evaluate")["value"]

    for rank in range(ranks):
        mine = sorted(tasks(events, rank), key=lambda e: e["ts"])
        for kind in "FB":
            assert {e["args"]["microbatch"] for e in mine if e["cat"] == kind} == set(range(MICROBATCHES))
        for before, after in pairwise(mine):
            assert before["ts"] + before["dur"] <= after["ts"] + 0.01, "one task at a time"
        steps = [e for e in events if e["ph"] == "X" and e["pid"] == rank and e["tid"] == 0]
        for task in mine:
            assert any(
                s["ts"] <= task["ts"] and task["ts"] + task["dur"] <= s["ts"] + s["dur"] for s in steps
            )

    # Rank 1 says that it is two hours ahead; on one clock a step ends on all ranks at once, and messages take no hours.
    assert max(one["clock_error_seconds"] for one in found["ranks"]) < 0.1
    ends: dict[str, list[float]] = {}
    for e in (e for e in events if e["ph"] == "X" and e["tid"] == 0 and e["name"] != "pipeline"):
        ends.setdefault(e["name"], []).append(e["ts"] + e["dur"])
    assert all(len(times) == ranks and max(times) - min(times) < 1e6 for times in ends.values())
    arrivals = {e["id"]: e["ts"] for e in events if e["ph"] == "f"}
    departures = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
    assert len(departures) >= KEPT * MICROBATCHES
    assert all(0 <= arrivals[one] - departures[one] < 1e6 for one in departures)


def test_nothing_is_written_where_none_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("SHARDYARD_TIMELINE", raising=False)
    done = mpirun(2, WORKER, json.dumps({"partitions": 2}))
    assert done.returncode == 0, done.stderr[-6000:]
    assert list(tmp_path.iterdir()) == []
    assert losses_of(done.stdout)[-1] < losses_of(done.stdout)[0]
