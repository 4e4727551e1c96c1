"""``shardyard plan --model``: the runtime's own decision, without ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import shardyard
from shardyard.errors import ProjectError

MODEL = """
import torch
from torch import nn

class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(32, 32), nn.Linear(32, 32)
    def forward(self, x):
        return self.last(self.first(x))

class Picky(Late):
    def forward(self, x):
        return super().forward(x) * (2 if x.sum().item() > 0 else 1)

def build():
    print("noise")
    return Late(), torch.ones(2, 32)

def keywords():
    return Picky(), {"x": torch.ones(2, 32)}

def alone():
    return Late()

def wrong():
    return 3

def deep():
    return nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)]), torch.ones(16, 64)

def huge():
    return nn.Sequential(*[nn.Linear(40000, 40000) for _ in range(40)])
"""
PROJECT = """
[image]
name = "demo"
framework = "pytorch"
base = "demo-base"
entry_point = "mine.py"
[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 2, microbatches = 4 }
[distribution.mpi]
enabled = true
processes_per_host = 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(PROJECT)
    (tmp_path / "mine.py").write_text(MODEL)
    return tmp_path


def plan(project: Path, model: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "shardyard.cli.main",
        "plan",
        "-p",
        str(project),
        "--model",
        model,
        *words,
    ]
    env = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("function", "by", "first"),
    [
        ("build", "a trace on meta", "first"),
        ("keywords", "a trace on cpu", "first"),
        ("alone", "parameter counts", "last"),
    ],
)
def test_the_decision_is_the_runtimes(project: Path, function: str, by: str, first: str) -> None:
    done = plan(project, f"mine:{function}", "--json")
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)["model"]
    assert model["by"].startswith(by)
    assert model["owner"] == {"": 0, first: 0, "last" if first == "first" else "first": 1}
    assert [share["parameters"] for share in model["shares"]] == [1056, 1056]


def test_a_model_larger_than_memory_is_drawn(project: Path) -> None:
    done = plan(project, "mine:huge")
    assert done.returncode == 0, done.stderr
    assert "rank 1" in done.stdout
    assert "32,000,800,000" in done.stdout


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mine:wrong", "it returned int, not a torch.nn.Module"),
        ("mine:nothing", "has no attribute 'nothing'"),
        ("nowhere:build", "No module named 'nowhere'"),
        ("mine", "package.module:function"),
    ],
)
def test_what_makes_no_model_is_refused(project: Path, model: str, said: str) -> None:
    done = plan(project, model)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_schedules_are_compared(project: Path) -> None:
    done = plan(project, "mine:deep", "--microbatches", "1..6", "--json")
    assert done.returncode == 0, done.stderr
    seen = {(p["microbatches"], p["schedule"]): p for p in json.loads(done.stdout)["model"]["predictions"]}
    names = ("simple", "interleaved", "virtual_stages", "zero_bubble")
    assert list(seen) == [(count, name) for count in (1, 2, 4, 6) for name in names]
    for count in (1, 2, 4, 6):
        one = seen[count, "interleaved"]
        assert one["idle_share"] == pytest.approx(1 / (count + 1))  # (p - 1) / (m + p - 1)
        assert one["step_time"] == pytest.approx((count + 1) / 2)
        assert one["speedup"] == pytest.approx(2 * count / (count + 1))
        assert [p["schedule"] for p in seen.values() if p["microbatches"] == count and p["best"]] == [
            "virtual_stages" if count > 1 else "simple"
        ]
    states = (
        4 * 8 * (64 * 64 + 64) * 4 // 2
    )  # parameters, gradients and two of the optimizer's, half of the layers
    activations = 4 * 16 * 64 * 4
    assert seen[6, "interleaved"]["live"] == [4, 1]
    assert seen[6, "interleaved"]["peak_bytes"] == [states + 4 * activations, states + activations]
    drawn = plan(project, "mine:deep", "--microbatches", "2,4")
    assert drawn.stdout.count("◀ fastest") == 2
    assert [line.split()[0] for line in drawn.stdout.splitlines() if "(not built yet)" in line] == [
        "zero_bubble"
    ] * 2


def test_virtual_stages_are_dealt_to_the_partitions_in_turn(project: Path) -> None:
    (project / "shardyard.toml").write_text(
        PROJECT.replace("microbatches", 'pipeline = "virtual_stages", microbatches')
    )
    done = plan(project, "mine:deep", "--json")
    assert done.returncode == 0, done.stderr
    owner = json.loads(done.stdout)["model"]["owner"]
    assert [owner[str(layer)] for layer in range(8)] == [0, 0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("said", ["", "0", "4..2", "1..x", "-1", "1..99999", "2.5"])
def test_what_says_no_numbers_of_microbatches_is_refused(project: Path, said: str) -> None:
    with pytest.raises(ProjectError, match=r"write 8, 4,6,8 or 1\.\.32"):
        shardyard.plan(project, model="mine:deep", microbatches=said)


def test_microbatches_need_a_model(project: Path) -> None:
    with pytest.raises(ProjectError, match="needs --model"):
        shardyard.plan(project, microbatches="8")
