"""A patched base under a pushed image that a real engine then runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.direct.test_against_docker import HOST, facts, read
from tests.integration.images.test_images import change
from tests.integration.toolkit.conftest import BASE, command, make_project, testbed
from tests.integration.toolkit.inside import Step, run_inside
from tests.testbed.settings import BASE_ACCOUNT, SIGN_IN_USER, password

__all__ = ["testbed"]
pytestmark = pytest.mark.testbed
PATCHED = BASE.rpartition(":")[0] + ":patched"
PATCH = f"""
import docker, io
client = docker.from_env(timeout=300)
text = b'FROM {BASE}\\nRUN echo patched > /etc/patched\\nENV PATCHED=yes PATH="/opt/patched:$PATH"\\n'
client.images.build(fileobj=io.BytesIO(text), tag="{PATCHED}", rm=True)
login = {{"username": "{SIGN_IN_USER}", "password": "{password(BASE_ACCOUNT)}"}}
said = client.images.push("{PATCHED}", auth_config=login)
assert "errorDetail" not in said, said
"""
LOOK = "import os, smdistributed.modelparallel.torch; print(open('/etc/patched').read(), os.environ['PATCHED'], os.environ['PATH'])"


def test_rebased_images_run(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    docker = change(make_project(tmp_path / "docker"), "rebased-docker")
    direct = change(make_project(tmp_path / "direct"), "rebased-direct")
    apt = change(make_project(tmp_path / "apt"), "rebased-apt", run=["touch /var/lib/dpkg/status"])
    uris = [f"{HOST}/rebased-{name}:latest" for name in ("docker", "direct")]
    to = ("rebase", "--base", PATCHED)
    shipped, again, apt_shipped, patched, first, second, third, on_docker, on_direct = run_inside(
        testbed,
        Step(docker, command("build-and-push")),
        Step(direct, command("build-and-push", "--engine", "direct")),
        Step(apt, command("build-and-push")),
        Step(docker, [sys.executable, "-c", PATCH]),
        Step(docker, command(*to, "--json")),
        Step(direct, command(*to)),
        Step(apt, command(*to)),
        facts(docker, uris[0], "python3", "-c", LOOK),
        facts(direct, uris[1], "python3", "-c", LOOK),
    )
    for outcome in (shipped, again, apt_shipped, patched, first):
        assert outcome.code == 0, outcome
    document = json.loads(first.out)
    assert (document["image_uri"], document["changed"]) == (uris[0], True)
    assert document["new_layer_bytes"] < 10_000  # nothing, where an earlier run has brought the patch there
    assert second.out == uris[1] + "\n", second
    assert (third.code, third.out) == (2, "")
    assert "install system packages" in third.err
    for outcome in (on_docker, on_direct):
        said = read(outcome)["said"].splitlines()
        assert said[-2:] == [
            "patched",
            " yes /opt/shardyard/bin:/opt/ml/code:" + said[-1].partition("code:")[2],
        ]
        assert "/opt/patched:" in said[-1]
        assert read(outcome)["config"]["Labels"]["org.opencontainers.image.base.name"] == PATCHED
