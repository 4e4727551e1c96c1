"""Installed from wheels, the command finds its templates, its data and the runtime, and makes the same bytes as
in a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer

from tests.integration.toolkit.inside import ROOT

PARTS = ("toolkit", "runtime", "templates", "pyproject.toml", "README.md", "LICENSE")
CONTEXT = """
import hashlib, io, shardyard, sys
from shardyard.image import context
out = io.BytesIO()
context.write(shardyard.load("made"), out)
print(hashlib.sha256(out.getvalue()).hexdigest())
print(shardyard.__file__, file=sys.stderr)
"""


@dataclass
class Place:
    """A Python that has Shardyard, and the words before a command line."""

    python: list[str]
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)

    def call(self, line: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(line, cwd=cwd, env=kept | self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: an edit of the sources while the test runs must not make a difference."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def editable(checkout: Path) -> Place:
    """What an editable install does: the sources' folders on the path."""
    path = f"{checkout / 'toolkit'}{os.pathsep}{checkout / 'runtime'}"
    python = [sys.executable]
    return Place(python, [*python, "-m", "shardyard.cli.main"], {"PYTHONPATH": path})


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Both wheels in an environment of their own. Its dependencies are those of this one: a folder that a .pth
    names is searched, but its own .pth files, the editable installs, are not read."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*pip, *build, str(checkout / "runtime"), str(checkout)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    wheels = [str(path) for path in folder.glob("*.whl")]
    assert len(wheels) == 2
    install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", *wheels]
    subprocess.run([*pip, *install], check=True)
    site = next((folder / "env/lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{Path(typer.__file__).parents[1]}\n")
    return Place([str(python)], [str(python.with_name("shardyard"))])


def test_the_same_bytes_installed_and_editable(editable: Place, installed: Place, tmp_path: Path) -> None:
    made: list[list[str | bytes]] = []
    for name, place in (("editable", editable), ("installed", installed)):
        folder = tmp_path / name
        folder.mkdir()
        place.call([*place.command, "init", "made"], folder)
        script = place.call([*place.python, "-c", CONTEXT], folder)
        assert ("site-packages" in script.stderr) is (name == "installed")
        rendered = place.call([*place.command, "render", "-p", "made"], folder)
        assert rendered.stdout.startswith("# Made by shardyard")
        words = ["estimator", "-p", "made", "--image", "uri"]
        code = place.call([*place.command, *words], folder).stdout.replace(str(folder), "")
        files = [path.read_bytes() for path in sorted((folder / "made").iterdir())]
        made.append([script.stdout, rendered.stdout, code, *files])
    assert made[0] == made[1]
