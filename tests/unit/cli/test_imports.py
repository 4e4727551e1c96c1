"""What a command must not wait for: an edit is in the registry before some of these were imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"boto3", "botocore", "docker", "jinja2", "pydantic", "requests", "rich", "torch"}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
TOML = """[image]
name = "a"
base = "b:1"
[registry]
region = "us-east-1"
account = "123456789012"
"""
# As far as a machine without a registry gets; the second time, when what can be kept is kept.
DIRECT = """
import sys
from pathlib import Path
from shardyard.cli.main import main
from shardyard.api import build_and_push, push
from shardyard.engines.choice import engine_for
from shardyard.image import context
from shardyard.project.load import load
from shardyard.registry.ecr import Ecr
assert main(["build-and-push", "--help"]) == 0
loaded = load(".", {"image.engine": "direct"})
build_and_push.refuse(loaded)
engine_for(loaded, print).refuse(build_and_push.render(loaded))
Ecr(loaded.registry.region, loaded.registry.account)
with open("context.tar", "wb") as out:
    context.write(loaded, out)
"""


def imported(code: str, folder: Path) -> set[str]:
    """The packages at the top that this code brings in."""
    code += "\nprint('modules:', *sorted({one.partition('.')[0] for one in sys.modules}))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = {**kept, **KEYS, "HOME": str(folder), "SHARDYARD_CACHE": str(folder / "cache")}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("modules:")[2].split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(TOML)
    (tmp_path / "train.py").write_text("print(1)\n")
    return tmp_path


def test_the_direct_engine_on_its_way_to_ecr(folder: Path) -> None:
    imported(DIRECT, folder)
    assert imported(DIRECT, folder) & HEAVY == set()


@pytest.mark.parametrize("command", ["check", "render", "images", "doctor"])
def test_a_command_that_asks_nobody(folder: Path, command: str) -> None:
    code = f"import sys\nfrom shardyard.cli.main import main\nassert main(['{command}', '--help']) == 0"
    assert imported(code, folder) & HEAVY == set()
