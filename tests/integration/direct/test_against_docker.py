"""The example, built without a daemon and with one: the same code layer, and an image that a real engine runs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.toolkit.conftest import BASE, command, testbed
from tests.integration.toolkit.inside import ROOT, Outcome, Step, run_inside
from tests.unit.engines.test_direct_requirements import wheel

__all__ = ["testbed"]
pytestmark = pytest.mark.testbed
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
QUESTION = (
    "import os, json, shardyard_runtime, smdistributed.modelparallel.torch;"
    "print(json.dumps([os.environ['SAGEMAKER_SUBMIT_DIRECTORY'], os.environ['PATH'], sorted(os.listdir('/opt/ml/code'))]))"
)


def example(folder: Path, **image: str) -> Path:
    shutil.copytree(ROOT / "examples/pytorch-digits", folder, ignore=shutil.ignore_patterns(".shardyard"))
    toml = folder / "shardyard.toml"
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in image.items())
    toml.write_text(toml.read_text().replace("[image]\n", f"[image]\n{more}"))
    return folder


def named(project: Path, repository: str) -> Path:
    toml = project / "shardyard.toml"
    toml.write_text(toml.read_text().replace('repository = "pytorch-digits"', f'repository = "{repository}"'))
    return project


def facts(folder: Path, uri: str, *words: str) -> Step:
    env = ["env", f"PYTHONPATH={ROOT}"]
    return Step(folder, [*env, sys.executable, "-m", "tests.integration.direct.image_facts", uri, *words])


def read(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome
    document: dict[str, Any] = json.loads(outcome.out)
    return document


def test_the_same_code_layer_and_it_runs(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    project = named(example(tmp_path / "digits"), "direct-digits")
    edited = named(example(tmp_path / "edited"), "direct-digits")
    (edited / "train.py").write_text((edited / "train.py").read_text() + "# edited\n")
    cached = ["env", f"SHARDYARD_CACHE={tmp_path / 'cache'}"]
    direct = [*cached, *command("build-and-push", "--engine", "direct")]
    uri = f"{HOST}/direct-digits:latest"
    docker_built, docker_facts, shipped, direct_facts, again, loaded, loaded_facts = run_inside(
        testbed,
        Step(project, command("build", "--engine", "docker")),
        facts(project, "pytorch-digits:latest", "python3", "-c", QUESTION),
        Step(project, direct),
        facts(project, uri, "python3", "-c", QUESTION),
        Step(edited, [*direct, "--json"]),
        Step(edited, [*cached, sys.executable, "-c", LOAD]),
        facts(edited, "pytorch-digits:latest"),
    )
    assert docker_built.code == 0, docker_built
    assert (shipped.code, shipped.out) == (0, uri + "\n"), shipped
    assert "Pushed" in shipped.err or "already exists" in shipped.err

    theirs, ours = read(docker_facts), read(direct_facts)
    assert ours["layers"] == theirs["layers"]  # base, runtime and code
    assert ours["config"]["Env"] == theirs["config"]["Env"]
    for key in ("Entrypoint", "Cmd", "WorkingDir", "User"):
        assert (ours["config"].get(key) or None) == (theirs["config"].get(key) or None), key
    assert ours["config"]["Labels"] == theirs["config"]["Labels"]
    assert ours["config"]["Labels"]["org.opencontainers.image.base.name"] == BASE
    lines = [one["CreatedBy"] for one in ours["history"]]
    assert lines[0].startswith("LABEL ")
    assert lines[1] == "ADD code.tar /"
    assert any(one.startswith("ENV SAGEMAKER_PROGRAM=") for one in lines)
    assert ours["said"] == theirs["said"]
    assert json.loads(ours["said"].splitlines()[-1])[0] == "/opt/ml/code"

    document = read(again)
    assert document["digest"].startswith("sha256:")
    assert 0 < document["new_layer_bytes"] < 20_000

    seconds = float(read(loaded)["seconds"])
    assert seconds < 5  # one on a machine that has nothing else to do
    assert read(loaded_facts)["layers"][:-1] == ours["layers"][:-1]
    assert read(loaded_facts)["layers"][-1] != ours["layers"][-1]


LOAD = """
import docker, json, time
from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.load import load
started = time.monotonic()
image_id = load(DirectEngine(), docker.from_env(), "pytorch-digits:latest", "linux/amd64")
print(json.dumps({"seconds": time.monotonic() - started, "id": image_id}))
"""


def test_requirements_are_installed_for_the_image(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    project = named(
        example(tmp_path / "digits", requirements="requirements.txt", wheelhouse="wheels"),
        "direct-requirements",
    )
    (project / "requirements.txt").write_text("alpha>=1\nnumpy\n")
    wheel(project / "wheels", "alpha", "1.5", needs="beta")
    wheel(project / "wheels", "beta", "3.0", "cp311-cp311-manylinux_2_28_x86_64")
    refused = named(example(tmp_path / "apt"), "direct-refused")
    toml = refused / "shardyard.toml"
    toml.write_text(toml.read_text().replace("[image]\n", '[image]\napt = ["vim"]\n'))
    direct = [
        "env", f"SHARDYARD_CACHE={tmp_path / 'cache'}", *command("build-and-push", "--engine", "direct"),
    ]  # fmt: skip
    ask = "import alpha, beta, numpy, sys; print(alpha.version, beta.version, alpha.__file__)"
    shell = f"head -1 $(which alpha-run); python3 -m pip check; python3 -c '{ask}'"
    shipped, found, apt = run_inside(
        testbed,
        Step(project, direct),
        facts(project, f"{HOST}/direct-requirements:latest", "sh", "-c", shell),
        Step(refused, direct),
    )
    assert shipped.code == 0, shipped
    told = read(found)["said"]
    shebang, *check, said = told.splitlines()
    assert shebang == "#!/opt/venv/bin/python3"
    assert check[-1] == "No broken requirements found.", told
    assert said == "1.5 3.0 /opt/venv/lib/python3.11/site-packages/alpha/__init__.py"
    assert (apt.code, apt.out) == (2, "")
    assert "apt-get" in apt.err
    assert "--engine docker" in apt.err
