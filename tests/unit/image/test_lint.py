"""Rendered Dockerfiles under hadolint: every variant is clean, notes included."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import shardyard
from tests.unit.image.test_render import FULL

ROOT = Path(__file__).parents[3]
HADOLINT = Path(sys.executable).with_name("hadolint")
PARTS: dict[str, str] = {
    "requirements": 'requirements = "requirements.txt"',
    "wheelhouse": 'wheelhouse = "wheels"',
    "ca_bundle": 'ca_bundle = "ca.crt"',
    "apt": 'apt = ["git", "libopenmpi-dev"]',
    "run": 'run = ["echo one", "echo two"]',
    "env": "env = { A = 'x \"$y\"' }",
    "user": 'user = "trainer"',
    "build_args": 'build_args = { A = "x" }',
    "secrets": 'secrets = { token = { env = "T" }, netrc = { file = "n", target = "/root/.netrc" } }',
}


def projects() -> dict[str, str]:
    """Every framework and runtime with each part alone, with each pair, and with all of them."""
    chosen = [(), *itertools.combinations(PARTS, 1), *itertools.combinations(PARTS, 2), tuple(PARTS)]
    found = {"full": FULL}
    for framework, runtime in (("pytorch", "bundled"), ("tensorflow", "bundled"), ("pytorch", "image")):
        head = f'[image]\nname = "a"\nbase = "base:1"\nframework = "{framework}"\nruntime = "{runtime}"\n'
        for parts in chosen:
            found["-".join((framework, runtime, *parts))] = head + "\n".join(PARTS[one] for one in parts)
    for example in ROOT.glob("examples/*/shardyard.toml"):
        found[example.parent.name] = example.read_text(encoding="utf-8")
    return found


def test_every_variant_is_clean(tmp_path: Path) -> None:
    files: list[Any] = []
    for name, toml in projects().items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shardyard.toml").write_text(toml, encoding="utf-8")
        files.append(folder / "Dockerfile")
        files[-1].write_text(shardyard.render(folder), encoding="utf-8")
    assert len(files) > 100
    said = subprocess.run([HADOLINT, "--no-color", *files], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout[:3000]
    files[0].write_text("FROM base\nRUN cd /tmp && sudo ls\n")
    assert subprocess.run([HADOLINT, files[0]], capture_output=True).returncode == 1  # it does look
