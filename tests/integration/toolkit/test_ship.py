"""Build, push and run against a real engine and registries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.toolkit.conftest import ROOT, command, make_project

pytestmark = pytest.mark.testbed
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/integration-demo:latest"

# Runs inside: one bring-up of the testbed serves all the commands.
INSIDE = """
import json, os, subprocess, sys
done = []
for folder, words in json.loads(sys.argv[1]):
    got = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=400)
    done.append([got.returncode, got.stdout, got.stderr])
print(json.dumps(done))
"""
WRONG_PASSWORD = """
from shardyard.engines.base import Credentials
from shardyard.engines.docker import DockerEngine
host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DockerEngine().push("integration-demo:latest", host + "/integration-demo:x", Credentials(host, "AWS", "wrong"))
"""
LEFT = """
import docker
client = docker.from_env()
print([c.name for c in client.containers.list(all=True, filters={"label": "shardyard.job"})])
print([n.name for n in client.networks.list(filters={"label": "shardyard.job"})])
"""

Outcome = tuple[int, str, str]


def inside(testbed: tuple[str, ...], *lines: tuple[Path, list[str]]) -> list[Outcome]:
    packed = json.dumps([[str(folder), words] for folder, words in lines])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [*testbed, sys.executable, "-c", INSIDE, packed]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout.splitlines()[-1])]


def test_ship_and_run(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    good, bad = make_project(tmp_path / "good"), make_project(tmp_path / "bad", "fail")
    run = command("run", "--input", "train=input", "--engine", "docker")
    shipped, again, wrong, ran, failed, hung, left = inside(
        testbed,
        (good, command("build-and-push")),
        (good, command("build-and-push", "--json")),
        (good, [sys.executable, "-c", WRONG_PASSWORD]),
        (good, [*run, "--image", URI]),
        (bad, [*run, "--json"]),
        (make_project(tmp_path / "hang", "hang"), [*run, "--timeout", "8"]),
        (good, [sys.executable, "-c", LEFT]),
    )

    assert shipped[:2] == (0, URI + "\n"), shipped
    document = json.loads(again[1])
    assert set(document) == {"image_uri", "digest", "size_bytes", "new_layer_bytes", "base", "seconds"}
    assert document["digest"].startswith("sha256:")
    assert document["new_layer_bytes"] < document["size_bytes"] // 100  # the base stays where it is
    assert "refused the password" in wrong[2]

    assert ran[0] == 0, ran
    for rank, host in enumerate(("algo-1", "algo-1", "algo-2", "algo-2")):
        assert f"rank {rank} of 4 on {host} note it's $HOME" in ran[1]
        file = good / f".shardyard/run/{host}/model/model-{rank}"
        assert file.read_text() == host
        assert file.stat().st_uid == os.getuid()

    assert failed[0] == 1
    report = json.loads(failed[1])
    assert report["job_exit_code"] == 7
    assert "rank 3" in report["failures"]["algo-1"]
    assert (bad / ".shardyard/run/algo-2/output/data/data-3").is_file()

    assert hung[0] == 1
    assert "job_exit_code=124" in hung[1]
    assert left[1].split("\n")[:2] == ["[]", "[]"]
