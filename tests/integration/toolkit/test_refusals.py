"""What goes wrong with a real engine and real registries: exit code, message, and nothing left or half done."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardyard.image import code_tar
from shardyard.project.load import load
from tests.integration.toolkit.conftest import make_project
from tests.integration.toolkit.inside import ROOT, SHARDYARD, Outcome, Step, run_inside
from tests.integration.toolkit.lying_ecr import OTHER_DIGEST

pytestmark = pytest.mark.testbed
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NAMES = ("refusals-good", "refusals-secret", "refusals-step", "refusals-raise", "refusals-digits")
RAISES = """
from mpi4py import MPI
world = MPI.COMM_WORLD
print(f"here is rank {world.rank}", flush=True)
world.Barrier()
labels = {"cat": 0}
if world.rank == 3:
    number = labels["dog"]
world.Barrier()
"""
# What the engine, the catalogue and the registry hold afterwards, asked without our own code.
FACTS = """
import boto3, docker, json, sys
from tests.testbed.registry_client import RegistryClient
from tests.testbed.settings import load
names = json.loads(sys.argv[1])
client, ecr, registry = docker.from_env(), boto3.client("ecr"), RegistryClient(load(), "123456789012")
mine = lambda text: any(name in text for name in names)
facts = {
    "containers": [str(c.attrs) for c in client.containers.list(all=True) if mine(c.name + str(c.attrs["Config"]))],
    "networks": [n.name for n in client.networks.list() if mine(n.name)],
    "tags": sorted(tag for image in client.images.list() for tag in image.tags if mine(tag)),
    "repositories": [r["repositoryName"] for r in ecr.describe_repositories()["repositories"] if mine(r["repositoryName"])],
    "catalogued": ecr.describe_images(repositoryName="refusals-good")["imageDetails"][0]["imageDigest"],
    "registered": registry.manifest("refusals-good", "latest")[1],
    "digits": [client.api.inspect_image(f"refusals-digits:{tag}")["RootFS"]["Layers"] for tag in ("one", "two")],
}
for tag in facts["tags"]:
    client.images.remove(tag)
print(json.dumps(facts))
"""


def named(folder: Path, name: str) -> Path:
    file = make_project(folder / name) / "shardyard.toml"
    file.write_text(file.read_text().replace("integration-demo", name))
    return file.parent


def digits_twice(folder: Path) -> Iterator[Path]:
    """The example, copied in two orders, with two times, and with what never belongs to the code."""
    for order, name in ((1, "one"), (-1, "two")):
        copy = folder / name
        copy.mkdir()
        for number, path in enumerate(sorted((ROOT / "examples/pytorch-digits").iterdir())[::order]):
            if path.is_file():
                shutil.copy(path, copy)
                os.utime(copy / path.name, (number * 1000, number * 1000 * order + 10**9))
        (copy / "__pycache__").mkdir()
        (copy / "__pycache__/train.pyc").write_text(name)
        text = (copy / "shardyard.toml").read_text()
        (copy / "shardyard.toml").write_text(
            text.replace('name = "pytorch-digits"', 'name = "refusals-digits"')
        )
        yield copy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusals")


@pytest.fixture(scope="module")
def ended(folder: Path, testbed: tuple[str, ...]) -> dict[str, Outcome]:
    good, secret, step, raising, _ = (named(folder, name) for name in NAMES)
    (step / "shardyard.toml").write_text(
        (step / "shardyard.toml")
        .read_text()
        .replace("[registry]", 'run = ["refusals-step-command"]\n[registry]')
    )
    (raising / "src/train.py").write_text(RAISES)
    one, two = digits_twice(folder)

    def lying(lie: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.integration.toolkit.lying_ecr", lie, SHARDYARD, *words]

    run = "run --engine docker --hosts 2 --processes-per-host 2 --input train=input --output result"
    steps = {
        "shipped": Step(good, [SHARDYARD, "build-and-push", "--json"]),
        "lied": Step(good, lying("digest", "push"), background=True),
        "secret": Step(secret, lying("password", "build-and-push")),
        "pull": Step(good, lying("password", "run", "--image", f"{HOST}/refusals-good:latest")),
        "step": Step(step, [SHARDYARD, "build-and-push"]),
        "unbuilt": Step(raising, [SHARDYARD, *run.split()]),
        "unbuilt push": Step(raising, [SHARDYARD, "push"]),
        "built": Step(raising, [SHARDYARD, "build"]),
        "raised": Step(raising, [SHARDYARD, *run.split()]),
        "one": Step(one, [SHARDYARD, "build", "--no-cache", "--tag", "one"]),
        "two": Step(two, [SHARDYARD, "build", "--no-cache", "--tag", "two"]),
        "facts": Step(ROOT, [sys.executable, "-c", FACTS, json.dumps(NAMES)]),
    }
    outcomes = dict(zip(steps, run_inside(testbed, *steps.values()), strict=True))
    assert outcomes["facts"].code == 0, outcomes["facts"]
    for name, one_outcome in outcomes.items():
        assert "Traceback" not in one_outcome.err, (name, one_outcome.err)
    return outcomes


@pytest.fixture(scope="module")
def facts(ended: dict[str, Outcome]) -> dict[str, list[str]]:
    return json.loads(ended["facts"].out)


def test_the_digest_printed_is_in_the_registry_and_in_ecr(ended: dict[str, Outcome], facts: dict) -> None:
    shipped = json.loads(ended["shipped"].out)
    assert shipped["image_uri"] == f"{HOST}/refusals-good:latest"
    assert shipped["digest"] == facts["registered"] == facts["catalogued"]


def test_no_uri_is_printed_while_ecr_lists_another_digest(ended: dict[str, Outcome], facts: dict) -> None:
    lied = ended["lied"]
    assert (lied.code, lied.out) == (4, "")
    assert f"ECR lists '{OTHER_DIGEST}' for refusals-good:latest" in lied.first_line
    assert f"'{facts['registered']}' was pushed" in lied.first_line
    assert "set another [registry] tag" in lied.first_line


def test_a_wrong_password_pushes_nothing(ended: dict[str, Outcome], facts: dict) -> None:
    assert (ended["secret"].code, ended["secret"].out) == (4, "")
    assert ended["secret"].first_line.startswith(f"shardyard: the registry '{HOST}' refused the password")
    assert "Type: aws sts get-caller-identity" in ended["secret"].first_line
    assert "wrong-secret" not in ended["secret"].err
    assert facts["repositories"] == ["refusals-good"]


def test_a_wrong_password_starts_no_container(ended: dict[str, Outcome]) -> None:
    assert (ended["pull"].code, ended["pull"].out) == (4, "")
    assert "refused the password" in ended["pull"].first_line
    assert f"'{HOST}/refusals-good:latest'" in ended["pull"].first_line


def test_a_step_that_fails_is_named_and_makes_no_image(ended: dict[str, Outcome]) -> None:
    assert (ended["step"].code, ended["step"].out) == (1, "")
    assert "the build of 'refusals-step:latest' failed at 'Step " in ended["step"].first_line
    assert "RUN refusals-step-command" in ended["step"].first_line


def test_an_image_that_was_not_built(ended: dict[str, Outcome]) -> None:
    for name, code in (("unbuilt", 3), ("unbuilt push", 2)):
        assert (ended[name].code, ended[name].out) == (code, "")
        assert "no image 'refusals-raise:latest'" in ended[name].first_line
        assert "Type: shardyard build" in ended[name].first_line


def test_a_script_that_raises_on_rank_3_of_the_second_host(ended: dict[str, Outcome], folder: Path) -> None:
    raised, result = ended["raised"], folder / "refusals-raise/result"
    assert raised.code == 1
    assert raised.out.splitlines()[-1] == "job_exit_code=1"
    assert raised.first_line == "shardyard: algo-2 ended with exit code 1"
    assert "failed: rank 3 on algo-2: KeyError: 'dog'" in raised.err
    assert 'train.py", line 8, in <module>\n    number = labels["dog"]' in raised.err
    tagged = [
        line for line in raised.out.splitlines() if "KeyError: 'dog'" in line and "rank:3,algo-2" in line
    ]
    assert tagged
    for host in ("algo-1", "algo-2"):
        assert (result / host / "output/failure").read_text().startswith("rank 3 on algo-2: KeyError: 'dog'")
    assert "here is rank 3" in (result / "algo-1/log.txt").read_text()


def test_the_code_layer_of_two_copies_is_the_same(
    ended: dict[str, Outcome], facts: dict, folder: Path
) -> None:
    for name in ("one", "two"):
        assert (ended[name].code, ended[name].out) == (0, f"refusals-digits:{name}\n"), ended[name]
        assert "Using cache" not in ended[name].err
    first, second = facts["digits"]
    assert first[-2:] == second[-2:]  # the runtime and the code
    assert first[-1] == code_tar.diff_id(load(folder / "one"))


def test_nothing_is_left(ended: dict[str, Outcome], facts: dict) -> None:
    assert (facts["containers"], facts["networks"]) == ([], [])
    assert facts["tags"] == sorted(
        [
            f"{HOST}/refusals-good:latest",
            "refusals-digits:one",
            "refusals-digits:two",
            "refusals-good:latest",
            "refusals-raise:latest",
            "refusals-secret:latest",
        ]
    )
