"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def shardyard(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "shardyard.cli.main", *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_init_then_check_plan_and_render(tmp_path: Path) -> None:
    made = shardyard("init", "My Model", cwd=tmp_path)
    assert made.returncode == 0
    assert [Path(line).name for line in made.stdout.splitlines()] == ["shardyard.toml", "train.py"]
    folder = tmp_path / "My Model"
    assert shardyard("check", cwd=folder).stdout == "ok: nothing to complain about\n"
    assert json.loads(shardyard("check", "--json", cwd=folder).stdout) == {"ok": True, "findings": []}
    assert json.loads(shardyard("plan", "--json", cwd=folder).stdout)["size"] == 4
    assert "rank 3" in shardyard("plan", "-p", str(folder)).stdout
    assert "pytorch-training" in shardyard("render", cwd=folder).stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    assert shardyard("init", cwd=tmp_path).stdout == "shardyard.toml\n"
    assert (tmp_path / "train.py").read_text() == "mine"
    again = shardyard("init", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert "already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["render"], "shardyard init"),
        (["plan", "--json"], "no project found"),
        (["nonsense"], "nonsense"),
        (["check", "--no-such-flag"], "--no-such-flag"),
    ],
)
def test_a_wrong_command_line_or_project_exits_2(tmp_path: Path, words: list[str], said: str) -> None:
    done = shardyard(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_check_exits_2_with_every_finding_as_json(tmp_path: Path) -> None:
    (tmp_path / "shardyard.toml").write_text('[image]\nname = "a"\nnaem = 1\ndevice = "tpu"\n')
    done = shardyard("check", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 2
    assert {one["where"] for one in found["findings"]} == {"image.naem", "image.device"}
