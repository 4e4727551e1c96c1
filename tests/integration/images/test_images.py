"""What an image is made of and says of itself, under both engines; one that runs as another user."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.integration.direct.test_against_docker import facts, read
from tests.integration.toolkit.conftest import BASE, command, make_project, testbed
from tests.integration.toolkit.inside import Outcome, Step, run_inside
from tests.unit.engines.test_direct_requirements import wheel

__all__ = ["testbed"]
pytestmark = pytest.mark.testbed
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
OWN = "org.opencontainers.image"
TEMPLATE = """{% extends "pytorch.Dockerfile.j2" %}
{% block environment %}
ENV FROM_TEMPLATE="${GREETING} {{ program }}"
{{ super() }}
{% endblock %}
"""

# The testbed's engine keeps its images.
FORGET = """
import contextlib, docker
with contextlib.suppress(docker.errors.ImageNotFound):
    docker.from_env().images.remove("described:latest", force=True)
"""


def change(folder: Path, name: str, **image: Any) -> Path:
    """A project of that name with more keys in [image]."""
    toml = folder / "shardyard.toml"
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in image.items())
    toml.write_text(toml.read_text().replace('name = "integration-demo"\n', f'name = "{name}"\n{more}'))
    return folder


def valid_bill(outcome: Outcome) -> set[str]:
    """The package URLs of a bill of materials that its schema accepts."""
    assert outcome.code == 0, outcome
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(outcome.out) is None
    document = json.loads(outcome.out)
    named = {one["name"] for one in document["components"]}
    assert {BASE, "shardyard-runtime"} <= named
    return {one["purl"] for one in document["components"] if "purl" in one}


def test_both_engines_describe_the_same_image(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    folder = change(
        make_project(tmp_path / "a"),
        "described",
        requirements="requirements.txt",
        wheelhouse="wheels",
        ca_bundle="ca.crt",
        template="my.Dockerfile.j2",
    )
    toml = folder / "shardyard.toml"
    toml.write_text(toml.read_text() + '[image.build_args]\nGREETING = "hello world"\n')
    (folder / "requirements.txt").write_text("--no-index\nalpha\n")
    (folder / "ca.crt").write_text("no certificate, but a file\n")
    (folder / "my.Dockerfile.j2").write_text(TEMPLATE)
    wheel(folder / "wheels", "alpha", "1.5")
    tensorflow = change(make_project(tmp_path / "tf"), "described-tf", framework="tensorflow")
    arm = change(make_project(tmp_path / "arm"), "described-arm", platform="linux/arm64")
    cached = ["env", f"SHARDYARD_CACHE={tmp_path / 'cache'}"]
    direct = ("--engine", "direct")
    ask = "import alpha, os; print(alpha.version, os.environ['FROM_TEMPLATE'], os.path.exists('/opt/shardyard/ca-bundle.crt'))"
    edit = "import pathlib; p = pathlib.Path('my.Dockerfile.j2'); p.write_text(p.read_text().replace('FROM_T', 'OF_T'))"
    steps = [
        Step(folder, [sys.executable, "-c", FORGET]),
        Step(folder, command("render", "--diff")),
        Step(folder, command("build")),
        facts(folder, "described:latest", "python3", "-c", ask),
        Step(folder, command("layers", "--json")),
        Step(folder, command("sbom", "--json")),
        Step(folder, [*cached, *command("build-and-push", *direct)]),
        facts(folder, f"{HOST}/described:latest", "python3", "-c", ask),
        Step(folder, [*cached, *command("layers", "--json", *direct)]),
        Step(folder, [*cached, *command("sbom", "--json", *direct)]),
        Step(folder, [sys.executable, "-c", edit]),
        Step(folder, command("render", "--diff")),
        Step(folder, [*cached, *command("render", "--diff", "--json", *direct)]),
        Step(tensorflow, command("build")),
        Step(arm, command("build")),
        Step(arm, [*cached, *command("build", *direct)]),
    ]
    (
        _, fresh, built, docker_facts, docker_layers, docker_bill, shipped, direct_facts, direct_layers,
        direct_bill, _, diff, direct_diff, tensorflow_built, arm_docker, arm_direct,
    ) = run_inside(testbed, *steps)  # fmt: skip

    assert fresh.code == 0
    assert fresh.out.startswith("--- /dev/null\n")
    assert "nothing was built yet" in fresh.err
    assert (built.code, shipped.code, tensorflow_built.code) == (0, 0, 0), (built, shipped, tensorflow_built)
    for told in (docker_facts, direct_facts):
        assert read(told)["said"].splitlines()[-1] == "1.5 hello world train.py True"

    labels, others = read(docker_facts)["config"]["Labels"], read(direct_facts)["config"]["Labels"]
    assert labels == others
    assert labels[f"{OWN}.title"] == "described"
    assert labels[f"{OWN}.base.name"] == BASE
    assert labels[f"{OWN}.base.digest"].startswith("sha256:")
    assert labels["shardyard.project.digest"].startswith("sha256:")
    assert "shardyard.runtime.version" in labels

    for outcome in (docker_layers, direct_layers):
        found = read(outcome)
        assert [one["whose"] for one in found["layers"]][-1] == "project"
        assert found["layers"][-1]["created_by"] == "ADD code.tar /"
        assert found["totals"]["base"] > 100_000_000
        ours = [one["created_by"] for one in found["layers"] if one["whose"] == "shardyard"]
        assert ours == ["ADD runtime.tar /"]
        assert sum(one["size_bytes"] for one in found["layers"]) == sum(found["totals"].values())

    bill = valid_bill(docker_bill)
    assert bill == valid_bill(direct_bill)
    assert "pkg:pypi/alpha@1.5" in bill
    assert any(one.startswith("pkg:pypi/torch@2.13.0") for one in bill)
    assert any(one.startswith("pkg:deb/debian/openmpi-bin@") for one in bill)

    wanted = ['-ENV FROM_TEMPLATE="${GREETING} train.py"', '+ENV OF_TEMPLATE="${GREETING} train.py"']
    assert [line for line in diff.out.splitlines() if line.startswith(("-ENV", "+ENV"))] == wanted
    assert json.loads(direct_diff.out)["diff"] == diff.out
    for outcome in (arm_docker, arm_direct):
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert "is built for 'linux/amd64', not for 'linux/arm64'" in outcome.err


WHO = """
import os, pwd
print("I am", os.getuid(), pwd.getpwuid(os.getuid()).pw_name, flush=True)
"""


def test_a_job_on_two_hosts_as_another_user(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    folder = change(make_project(tmp_path / "a"), "another-user", user="trainer")
    numbered = change(make_project(tmp_path / "b"), "numbered-user", user="4711")
    script = folder / "src/train.py"
    script.write_text(WHO + script.read_text())
    direct, built, ran, numbered_built, who = run_inside(
        testbed,
        Step(folder, command("build", "--engine", "direct")),
        Step(folder, command("build")),
        Step(folder, command("run", "--input", "train=input")),
        Step(numbered, command("build")),
        facts(numbered, "numbered-user:latest", "id"),
    )
    assert built.code == 0, built
    assert ran.code == 0, ran
    lines = [line for line in ran.out.splitlines() if "I am" in line]
    assert len(lines) == 4, ran
    assert all("I am 1000 trainer" in line for line in lines)
    for rank, host in enumerate(("algo-1", "algo-1", "algo-2", "algo-2")):
        assert (folder / f".shardyard/run/{host}/model/model-{rank}").read_text() == host
    assert numbered_built.code == 0, numbered_built
    assert "uid=4711(shardyard)" in read(who)["said"]
    assert direct.code == 2
    assert "--engine docker" in direct.err
