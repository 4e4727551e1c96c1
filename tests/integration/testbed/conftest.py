"""A testbed with a cache of its own, so that these tests can kill it without disturbing another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def reason_against() -> str | None:
    asked = "from tests.testbed.requirements import reason_against as r; print(r() or '')"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip() or None


@pytest.fixture(scope="session")
def cache() -> Iterator[Path]:
    reason = reason_against()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="shardyard-testbed-"))
    yield folder
    shutil.rmtree(folder)


def _environment(cache: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "SHARDYARD_TESTBED"}
    return {**kept, "SHARDYARD_CACHE": str(cache), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def cli(cache: Path) -> Iterator[Cli]:
    """Runs `python -m tests.testbed` with the given arguments, on a testbed that has no base image."""

    def call(*arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.testbed", *arguments],
            cwd=ROOT,
            env=_environment(cache),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    yield call
    call("down")


@pytest.fixture
def background(cache: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m tests.testbed` with the given arguments, its standard input and output as pipes."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.testbed", *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=ROOT, env=_environment(cache), text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def up(cli: Cli) -> Cli:
    cli("up", "--bare")
    return cli
