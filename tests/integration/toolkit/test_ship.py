"""Build, push and run against a real engine and registries."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.toolkit.conftest import command, make_project
from tests.integration.toolkit.inside import Step, run_inside

pytestmark = pytest.mark.testbed
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/integration-demo:latest"

WRONG_PASSWORD = """
from shardyard.engines.base import Credentials
from shardyard.engines.docker import DockerEngine
host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DockerEngine().push("integration-demo:latest", host + "/integration-demo:x", Credentials(host, "AWS", "wrong"))
"""
LEFT = """
import docker
client = docker.from_env()
jobs = {"filters": {"label": "shardyard.job"}}
print([c.name for c in client.containers.list(all=True, **jobs) if "integration-demo" in c.name])
print([n.name for n in client.networks.list(**jobs) if "integration-demo" in n.name])
"""


def test_ship_and_run(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    good, bad = make_project(tmp_path / "good"), make_project(tmp_path / "bad", "fail")
    run = command("run", "--input", "train=input", "--engine", "docker")
    shipped, again, wrong, ran, failed, hung, left = run_inside(
        testbed,
        Step(good, command("build-and-push")),
        Step(good, command("build-and-push", "--json")),
        Step(good, [sys.executable, "-c", WRONG_PASSWORD]),
        Step(good, [*run, "--image", URI]),
        Step(bad, [*run, "--json"]),
        Step(make_project(tmp_path / "hang", "hang"), [*run, "--timeout", "8"]),
        Step(good, [sys.executable, "-c", LEFT]),
    )

    assert (shipped.code, shipped.out) == (0, URI + "\n"), shipped
    document = json.loads(again.out)
    assert set(document) == {
        "image_uri", "image_uri_by_digest", "digest", "size_bytes", "new_layer_bytes", "base", "seconds",
    }  # fmt: skip
    assert document["digest"].startswith("sha256:")
    assert document["new_layer_bytes"] < document["size_bytes"] // 100  # the base stays where it is
    assert "refused the password" in wrong.err

    assert ran.code == 0, ran
    for rank, host in enumerate(("algo-1", "algo-1", "algo-2", "algo-2")):
        assert f"rank {rank} of 4 on {host} note it's $HOME" in ran.out
        file = good / f".shardyard/run/{host}/model/model-{rank}"
        assert file.read_text() == host
        assert file.stat().st_uid == os.getuid()

    assert failed.code == 1
    report = json.loads(failed.out)
    assert (report["job_exit_code"], report["failed_host"]) == (7, "algo-2")
    assert "rank 3" in report["failures"]["algo-1"]
    assert (bad / ".shardyard/run/algo-2/output/data/data-3").is_file()

    assert hung.code == 1
    assert "job_exit_code=124" in hung.out
    assert left.out.split("\n")[:2] == ["[]", "[]"]
