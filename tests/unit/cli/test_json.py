"""`--json` on every command: one JSON document on standard output and nothing else.

Commands that need an engine or AWS are run with it in tests/integration.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shardyard.cli.main import COMMANDS, main

SHARDYARD = Path(sys.executable).with_name("shardyard")
# Arguments, exit code and a key of the document, of commands that run anywhere.
ANYWHERE = {
    "init": ((), 0, "written"),
    "images": (("--version", "1.13"), 0, "images"),
    "check": ((), 0, "findings"),
    "plan": (("--rank", "0"), 0, "size"),
    "render": ((), 0, "dockerfile"),
    "estimator": (("--image", "example/x:1"), 0, "image_uri"),
}
TOML = """
[image]
name = "demo"
device = "cpu"
[registry]
region = "us-east-1"
account = "123456789012"
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SHARDYARD, *words], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(TOML)
    (tmp_path / "train.py").write_text("print(1)\n")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert re.search(r"^\s+--json\s", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", ANYWHERE)
def test_one_document_and_nothing_else(command: str, folder: Path) -> None:
    words, code, key = ANYWHERE[command]
    done = run(folder, command, "--json", *words)
    assert done.returncode == code, done.stderr
    assert key in json.loads(done.stdout)  # fails on anything before or behind


def test_doctors_document_is_its_reports(folder: Path) -> None:
    reports = json.loads(run(folder, "doctor", "--json", "--fix").stdout)
    assert {"python", "docker", "cache"} <= {one["name"] for one in reports}
    assert all(one["ok"] or one["repair"] for one in reports)


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one not in ("init", "images", "check", "doctor", "report")]
)
def test_a_command_that_fails_prints_no_document(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--json", "--project", str(tmp_path)]) == 2  # there is none
    said = capsys.readouterr()
    assert said.out == ""
    assert "shardyard init" in said.err
