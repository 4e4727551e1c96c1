"""A small project, and the command line on it: bare, or inside the testbed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.toolkit.inside import ROOT

BASE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.13.0-cpu-py311-ubuntu22.04-sagemaker"
TOML = f"""
[image]
name = "integration-demo"
device = "cpu"
base = "{BASE}"
source_dir = "src"
[registry]
region = "us-east-1"
account = "123456789012"
[distribution.mpi]
enabled = true
processes_per_host = 2
[job]
instance_count = 2
hyperparameters = {{note = "it's $HOME", mode = "MODE"}}
"""
SCRIPT = """
import argparse, os, pathlib, time
from mpi4py import MPI
parser = argparse.ArgumentParser()
parser.add_argument("--note")
parser.add_argument("--mode")
given, _ = parser.parse_known_args()
world = MPI.COMM_WORLD
host = os.environ["SM_CURRENT_HOST"]
print("rank", world.rank, "of", world.size, "on", host, "note", given.note, flush=True)
print("input", pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "x.txt").read_text(), flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], f"model-{world.rank}").write_text(host)
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], f"data-{world.rank}").write_text(host)
world.Barrier()
if given.mode == "fail" and world.rank == 3:
    raise SystemExit(7)
if given.mode == "hang":
    time.sleep(600)
"""

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def make_project(folder: Path, mode: str = "work") -> Path:
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "input").mkdir(exist_ok=True)
    (folder / "input/x.txt").write_text("forty-two")
    (folder / "shardyard.toml").write_text(TOML.replace("MODE", mode))
    (folder / "src/train.py").write_text(SCRIPT)
    return folder


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "shardyard.cli.main", *words]


@pytest.fixture
def cli() -> Cli:
    """Runs the command line in a folder; standard output and error apart."""

    def call(folder: Path, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        line = [*prefix, *command(*words)]
        return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=500)

    return call


@pytest.fixture(scope="session")
def testbed() -> tuple[str, ...]:
    """The words before a command that has to run inside the testbed."""
    from tests.testbed.requirements import reason_against

    reason = reason_against()
    if reason:
        pytest.skip(reason)
    return (sys.executable, "-m", "tests.testbed", "exec", "--")
