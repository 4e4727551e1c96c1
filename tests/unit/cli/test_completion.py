"""Completion as a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARDYARD = Path(sys.executable).with_name("shardyard")


def offered(line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    words = line.split(" ")
    env = {
        **os.environ, "_SHARDYARD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    done = subprocess.run([SHARDYARD], env=env, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("shardyard bui", ["build", "build-and-push"]),
        ("shardyard check --onl", ["--online"]),
        ("shardyard build --engine ", ["docker", "direct"]),
        ("shardyard run --engine p", ["process"]),
        ("shardyard images --framework ", ["pytorch", "tensorflow"]),
        ("shardyard images --region eu-w", ["eu-west-1", "eu-west-2", "eu-west-3"]),
        ("shardyard images --version 1.13", ["1.13.1"]),
        ("shardyard images --python py39", ["py39"]),
        ("shardyard estimator --sdk ", ["v2", "v3", "boto3"]),
        ("shardyard images --region mars", []),
    ],
)
def test_commands_options_and_values_are_offered(line: str, offers: list[str]) -> None:
    assert offered(line) == offers


def test_bash_completes_after_the_installation(tmp_path: Path) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{SHARDYARD.parent}:{os.environ['PATH']}"}
    subprocess.run(
        [SHARDYARD, "--install-completion", "bash"], env=env, check=True, capture_output=True, timeout=60
    )
    typed = (
        "COMP_WORDS=(shardyard run --engine p); COMP_CWORD=3; COMP_LINE='shardyard run --engine p';"
        " $(complete -p shardyard | sed 's/.*-F \\([^ ]*\\).*/\\1/') shardyard; echo ${COMPREPLY[@]}"
    )
    shell = ["bash", "--norc", "-c", f"source ~/.bash_completions/shardyard.sh; {typed}"]
    done = subprocess.run(shell, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["process"], done.stderr
