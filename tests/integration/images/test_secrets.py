"""Secrets of a build: seen by RUN lines, and afterwards nowhere: no layer, no history, no log, no file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.toolkit.conftest import BASE, command, testbed
from tests.integration.toolkit.inside import Step, run_inside
from tests.testbed import settings

__all__ = ["testbed"]
pytestmark = pytest.mark.testbed
TOKEN, PASSWORD = "planted-7f3a9c-token", "planted-51be02-password"
TOML = f"""
[image]
name = "secret-demo"
device = "cpu"
base = "{BASE}"
source_dir = "src"
run = [
    "sha256sum /run/secrets/token > /opt/seen && sha256sum /root/.netrc >> /opt/seen",
    "echo the token is $(cat /run/secrets/token), of $(cat /root/.netrc)",
]
[image.secrets]
token = {{ env = "DEMO_TOKEN" }}
netrc = {{ file = "outside/netrc", target = "/root/.netrc" }}
[registry]
region = "us-east-1"
"""
OLD_COMMAND_LINE = """#!/bin/sh
[ "$1" = --version ] && echo "Docker version 28.2.2, build e6534b4" && exit 0
exit 1
"""
SEEN = """
import docker
client = docker.from_env()
print(client.containers.run("secret-demo:latest", ["sh", "-c", "cat /opt/seen; wc -c < /root/.netrc; ls /run/secrets"], remove=True).decode())
image = client.images.get("secret-demo:latest")
print(image.attrs, image.history(), client.api.df())
"""


def command_line_with_buildkit() -> str | None:
    """The folder of a docker command line that can build with BuildKit: before release 23, or with buildx."""
    for folder in [*os.environ["PATH"].split(":"), "/usr/bin"]:
        docker = shutil.which("docker", path=folder)
        if docker is None:
            continue
        version = subprocess.run([docker, "--version"], capture_output=True, text=True).stdout
        plugin = subprocess.run([docker, "buildx", "version"], capture_output=True).returncode == 0
        if plugin or int(version.split()[2].split(".")[0]) < 23:
            return folder
    return None


def project(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src/train.py").write_text("print(1)\n")
    (folder / "outside").mkdir()
    (folder / "outside/netrc").write_text(f"machine example.com login me password {PASSWORD}\n")
    (folder / "shardyard.toml").write_text(TOML)
    return folder


def test_secrets_leave_no_trace(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    place = command_line_with_buildkit()
    if place is None:
        pytest.skip("no docker command line with BuildKit. Type: apt-get install docker-buildx")
    folder, stamp = project(tmp_path / "project"), tmp_path / "stamp"
    stamp.touch()
    build = [
        "env",
        f"PATH={place}:{os.environ['PATH']}",
        f"DEMO_TOKEN={TOKEN}",
        *command("build", "--no-cache"),
    ]
    state = str(
        settings.load().folder
    )  # the engine's layers and books, its log, the command line's own files
    new_files = ["find", state, str(folder / "src"), "-type", "f", "-cnewer", str(stamp)]
    search = ["sh", "-c", f"{' '.join(new_files)} -exec grep -lF -e {TOKEN} -e {PASSWORD} {{}} +; true"]
    built, seen, looked, found = run_inside(
        testbed,
        Step(folder, build),
        Step(folder, [sys.executable, "-c", SEEN]),
        Step(folder, new_files),
        Step(folder, search),
    )
    assert (built.code, built.out) == (0, "secret-demo:latest\n"), built
    netrc = (folder / "outside/netrc").read_bytes()
    assert seen.code == 0, seen
    assert hashlib.sha256(TOKEN.encode()).hexdigest() in seen.out  # the RUN line has read it
    assert hashlib.sha256(netrc).hexdigest() in seen.out
    assert "the token is ***, of ***" in built.err
    assert len(looked.out.splitlines()) > 10  # the layers and the engine's own books
    assert found.out == ""
    for said in (built.err, seen.out):
        assert TOKEN not in said
        assert PASSWORD not in said


def test_without_buildkit_they_are_refused(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    folder, old = project(tmp_path / "project"), tmp_path / "old/docker"
    old.parent.mkdir()
    old.write_text(OLD_COMMAND_LINE)
    old.chmod(0o755)
    path = f"PATH={old.parent}:{os.environ['PATH']}"
    no_plugin, direct, not_set = run_inside(
        testbed,
        Step(folder, ["env", path, "DEMO_TOKEN=x", *command("build")]),
        Step(folder, ["env", "DEMO_TOKEN=x", *command("build-and-push", "--engine", "direct")]),
        Step(folder, ["env", "-u", "DEMO_TOKEN", *command("build")]),
    )
    assert (no_plugin.code, no_plugin.out) == (3, "")
    assert "28.2.2 has no buildx plugin" in no_plugin.err
    assert "docker-buildx" in no_plugin.err
    assert (direct.code, direct.out) == (2, "")
    assert "[secret-direct]" in direct.err
    assert (not_set.code, not_set.out) == (2, "")
    assert "no variable 'DEMO_TOKEN'" in not_set.err
