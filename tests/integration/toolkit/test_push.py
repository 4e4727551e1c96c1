"""What a push does with repositories, tags and accounts, against the testbed's registries and AWS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.toolkit.conftest import make_project
from tests.integration.toolkit.inside import ROOT, SHARDYARD, Outcome, Step, run_inside

pytestmark = pytest.mark.testbed
OWN, OTHER = "123456789012", "763104351884"
SETTINGS = "[registry]\nscan_on_push = true\nimmutable_tags = true\n"
LINE = [sys.executable, "-m", "tests.integration.toolkit.lying_ecr", "none", SHARDYARD]
# What ECR and the registries hold afterwards, asked without our own code; what lies in the bases' registry goes.
FACTS = """
import boto3, json, ssl, urllib.request
from base64 import b64encode
from tests.testbed.registry_client import MANIFEST, RegistryClient
from tests.testbed.settings import ecr_host, load, password
own, other = "123456789012", "763104351884"
repositories = {r["repositoryName"]: r for r in boto3.client("ecr").describe_repositories()["repositories"]}
made = {name: repositories[name] for name in ("push-docker", "push-direct")}
facts = {
    "settings": [(r["imageScanningConfiguration"]["scanOnPush"], r["imageTagMutability"]) for r in made.values()],
    "own": sorted(repositories),
    "tags": {name: RegistryClient(load(), own).tags(name) for name in made},
    "pushed": RegistryClient(load(), other).manifest("push-across", "latest")[1],
}
url = f"https://{ecr_host(other)}/v2/push-across/manifests/{facts['pushed']}"
token = b64encode(f"AWS:{password(other)}".encode()).decode()
delete = urllib.request.Request(url, method="DELETE", headers={"Authorization": f"Basic {token}"})
urllib.request.urlopen(delete, context=ssl.create_default_context(cafile=str(load().bundle)))
print(json.dumps(facts))
"""


def project(folder: Path, name: str, settings: str = "[registry]\n", account: str = OWN) -> Path:
    file = make_project(folder / name) / "shardyard.toml"
    text = file.read_text().replace("integration-demo", name).replace("[registry]\n", settings)
    file.write_text(text.replace(f'account = "{OWN}"', f'account = "{account}"'))
    return file.parent


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, testbed: tuple[str, ...]) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("push")
    steps: dict[str, Step] = {}
    for engine in ("docker", "direct"):
        at = project(folder, f"push-{engine}", SETTINGS)
        ship = [SHARDYARD, "build-and-push", "--engine", engine]
        steps[f"{engine} first"] = Step(at, [*ship, "--json"])
        steps[f"{engine} again"] = Step(at, [*ship, "--by-digest"])
        steps[f"{engine} check"] = Step(at, [SHARDYARD, "check", "--online", "--json"])
        steps[f"{engine} edit"] = Step(at, ["sh", "-c", "echo 'print(2)' >> src/train.py"])
        steps[f"{engine} taken"] = Step(at, ship)
        steps[f"{engine} other"] = Step(at, [*ship, "--tag", "two"])
    steps["late"] = Step(project(folder, "push-late"), [SHARDYARD, "build-and-push", "--engine", "direct"])
    steps["settings"] = Step(
        project(folder / "again", "push-late", SETTINGS), [SHARDYARD, "build-and-push", "--engine", "direct"]
    )
    for words in ("build", "push"):
        steps[words] = Step(folder / "push-late", [SHARDYARD, words, "--engine", "direct", "--json"])
    across = project(folder, "push-across", account=OTHER)
    steps["across"] = Step(across, [*LINE, "build-and-push", "--engine", "direct", "--json"])
    steps["facts"] = Step(ROOT, [sys.executable, "-c", FACTS])
    outcomes = dict(zip(steps, run_inside(testbed, *steps.values()), strict=True))
    assert outcomes["facts"].code == 0, outcomes
    for name, one in outcomes.items():
        assert "Traceback" not in one.err, (name, one.err)
    return outcomes


@pytest.fixture(scope="module")
def facts(ended: dict[str, Outcome]) -> dict:
    return json.loads(ended["facts"].out)


def test_a_repository_is_made_as_registry_says(facts: dict) -> None:
    assert facts["settings"] == [[True, "IMMUTABLE"], [True, "IMMUTABLE"]]


@pytest.mark.parametrize("engine", ["docker", "direct"])
def test_an_immutable_tag_takes_one_image_and_no_other(
    ended: dict[str, Outcome], facts: dict, engine: str
) -> None:
    first = json.loads(ended[f"{engine} first"].out)
    host = f"{OWN}.dkr.ecr.us-east-1.amazonaws.com/push-{engine}"
    assert first["image_uri"] == f"{host}:latest"
    assert first["image_uri_by_digest"] == f"{host}@{first['digest']}"
    again = ended[f"{engine} again"]  # the same image: it is there
    assert (again.code, again.out) == (0, first["image_uri_by_digest"] + "\n"), again.err
    found = {one["code"] for one in json.loads(ended[f"{engine} check"].out)["findings"]}
    assert (ended[f"{engine} check"].code, found) == (4, {"immutable-tag"})
    taken = ended[f"{engine} taken"]
    assert (taken.code, taken.out) == (4, "")
    assert f"another image was pushed as '{host}:latest' before" in taken.first_line
    assert "Type: shardyard build-and-push --tag NEW" in taken.first_line
    assert "Pushing" not in taken.err  # told before anything was sent
    assert ended[f"{engine} other"].out == f"{host}:two\n"
    assert sorted(facts["tags"][f"push-{engine}"]) == ["latest", "two"]


def test_a_repository_that_is_there_is_not_changed_and_that_is_said(ended: dict[str, Outcome]) -> None:
    assert ended["settings"].code == 0
    assert (
        "note: the repository 'push-late' is there, and does not scan what is pushed" in ended["settings"].err
    )
    assert "put-image-tag-mutability --repository-name push-late" in ended["settings"].err
    assert "note:" not in ended["late"].err


def test_build_and_push_apart_have_a_document_each(ended: dict[str, Outcome]) -> None:
    built, pushed = json.loads(ended["build"].out), json.loads(ended["push"].out)
    assert built["reference"] == "push-late:latest"
    assert pushed["image_uri"] == f"{OWN}.dkr.ecr.us-east-1.amazonaws.com/push-late:latest"
    assert pushed["digest"] in built["digests"]


def test_a_push_into_another_account(ended: dict[str, Outcome], facts: dict) -> None:
    document = json.loads(ended["across"].out)
    assert document["image_uri"] == f"{OTHER}.dkr.ecr.us-east-1.amazonaws.com/push-across:latest"
    assert document["digest"] == facts["pushed"]
    assert "push-across" not in facts["own"]
