"""No credential in any layer, history, log or file: markers are planted, everything is done, everything is searched."""

from __future__ import annotations

import gzip
import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.integration.toolkit.conftest import make_project
from tests.integration.toolkit.inside import ROOT, SHARDYARD, Outcome, Step, run_inside
from tests.integration.toolkit.private_index import PASSWORD, USER

pytestmark = pytest.mark.testbed
INDEX_PORT = 5077
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAMARKERMARKER0001",
    "AWS_SECRET_ACCESS_KEY": "marker/aws+secret",
    "AWS_SESSION_TOKEN": "marker-aws-session",
    "PIP_INDEX_URL": f"http://{USER}:{PASSWORD}@127.0.0.1:{INDEX_PORT}/simple",
}
JOB_SECRET = "marker-job-secret"
MARKERS = (
    *(ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
    PASSWORD,
    "123456789012-auth-token",  # the registries' passwords
    "763104351884-auth-token",
)
TOML = """
requirements = "requirements.txt"
engine = "ENGINE"
[registry]"""
JOB = f"""
[job]
instance_type = "ml.m5.xlarge"
role = "arn:aws:iam::123456789012:role/x"
environment = {{ HF_TOKEN = "{JOB_SECRET}" }}"""
ROLE = """
import boto3, json
trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
boto3.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
"""
SHIPPED = ("build-and-push --json", "run --input train=input --hosts 1", "launch --wait")
ELSE = (
    "check --online", "push", "run --engine process --input train=input --hosts 1 --output plain", "doctor", "plan",
    "estimator --sdk v2", "estimator --sdk v3", "estimator --sdk boto3",
)  # fmt: skip
# Our own layers, the config and the manifest as the registry has them, into a folder.
FETCH = """
import sys
from pathlib import Path
from shardyard.registry.oci.auth import Authorized
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.transport import Http
from shardyard.engines.direct.sign_in import sign_in
from tests.integration.toolkit.conftest import BASE
def at(host, name):
    return Repository(Authorized(Http(), host, lambda: sign_in(host)), host, name)
own, folder = at("123456789012.dkr.ecr.us-east-1.amazonaws.com", sys.argv[1]), Path(sys.argv[2])
host, _, rest = BASE.partition("/")
under = len(at(host, rest.partition(":")[0]).manifest(rest.partition(":")[2]).layers)
manifest = own.manifest("latest")
(folder / "manifest").write_bytes(manifest.raw)
for blob in (manifest.config, *manifest.layers[under:]):
    (folder / blob.digest[7:19]).write_bytes(b"".join(Blobs(own).read(blob)))
assert len(manifest.layers) > under
"""


def project(folder: Path, engine: str) -> Path:
    file = make_project(folder / f"credentials-{engine}") / "shardyard.toml"
    text = file.read_text().replace("integration-demo", f"credentials-{engine}")
    wanted = TOML.replace("ENGINE", engine)
    if engine == "docker":  # inside a build there is no such index
        wanted = wanted.replace('requirements = "requirements.txt"', "")
    file.write_text(text.replace("\n[registry]", wanted).replace("\n[job]", JOB))
    file.write_text(file.read_text().replace("it's $HOME", "plain"))  # the SDK v3 carries no quotes
    (file.parent / "requirements.txt").write_text("alpha==1.0\n")
    return file.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("credentials")


@pytest.fixture(scope="module")
def ended(folder: Path, testbed: tuple[str, ...]) -> dict[str, Outcome]:
    own = {
        "HOME": "home", "TMPDIR": "temporary", "SHARDYARD_CACHE": "cache", "DOCKER_CONFIG": "home/docker",
        "XDG_CACHE_HOME": "home/cache",
    }  # fmt: skip
    for name in {*own.values(), "fetched"}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    given = {**ENVIRONMENT, **{name: str(folder / value) for name, value in own.items()}}
    line = ["env", *(f"{name}={value}" for name, value in given.items()), SHARDYARD]
    index = [sys.executable, "-m", "tests.integration.toolkit.private_index", str(INDEX_PORT)]
    steps = {
        "index": Step(ROOT, index, background=True),
        "role": Step(ROOT, [sys.executable, "-c", ROLE]),
    }
    for engine, done in (("direct", (*SHIPPED, *ELSE)), ("docker", SHIPPED)):
        at = project(folder / "projects", engine)
        for words in done:
            steps[f"{engine} {words}"] = Step(at, [*line, *words.split()])
        (folder / "fetched" / engine).mkdir()
        fetch = [sys.executable, "-c", FETCH, f"credentials-{engine}", str(folder / "fetched" / engine)]
        steps[f"{engine} fetch"] = Step(ROOT, fetch)
    wrong = project(folder / "wrong", "direct")
    (wrong / "requirements.txt").write_text(f"--index-url http://u:{PASSWORD}@127.0.0.1/simple\nalpha\n")
    steps["refused"] = Step(wrong, [*line, "build-and-push"])
    unknown = project(folder / "unknown", "direct")
    (unknown / "requirements.txt").write_text("nowhere-to-be-found\n")
    steps["unknown"] = Step(unknown, [*line, "build-and-push"])
    steps["end"] = Step(ROOT, ["curl", "-s", f"http://127.0.0.1:{INDEX_PORT}/end"])
    outcomes = dict(zip(steps, run_inside(testbed, *steps.values()), strict=True))
    (wrong / "requirements.txt").unlink()
    return outcomes


def test_everything_was_done(ended: dict[str, Outcome]) -> None:
    bad = {name: one for name, one in ended.items() if one.code and name not in ("refused", "unknown")}
    assert not bad, bad
    assert "nowhere-to-be-found" in ended["unknown"].err
    assert "rank 1 of 2 on algo-1" in ended["direct run --input train=input --hosts 1"].out


def test_a_password_in_the_requirements_is_refused_and_not_repeated(ended: dict[str, Outcome]) -> None:
    assert ended["refused"].code == 2
    assert "requirements.txt:1: holds a user name or password" in ended["refused"].err


def forms(marker: str) -> set[bytes]:
    """A marker as it may be written down."""
    plain = {marker, quote(marker, safe=""), *(f"{user}:{marker}" for user in ("AWS", USER))}
    return {text.encode() for text in plain} | {b64encode(text.encode()).rstrip(b"=") for text in plain}


def everything(folder: Path, ended: dict[str, Outcome]) -> Iterator[tuple[str, bytes]]:
    """Every file, unpacked where it is compressed, and everything that was printed."""
    for top, _, names in os.walk(folder):
        for name in names:
            data = Path(top, name).read_bytes()
            yield str(Path(top, name)), gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    for name, one in ended.items():
        yield name, (one.out + one.err).encode()


def test_no_credential_is_anywhere(ended: dict[str, Outcome], folder: Path) -> None:
    needles = {form for marker in MARKERS for form in forms(marker)}
    found = [(where, form) for where, data in everything(folder, ended) for form in needles if form in data]
    assert found == []


def test_a_secret_of_the_job_is_where_the_project_has_it_and_in_the_code_that_hands_it_over(
    ended: dict[str, Outcome], folder: Path
) -> None:
    found = {where for where, data in everything(folder, ended) if JOB_SECRET.encode() in data}
    allowed = {str(path) for path in folder.rglob("shardyard.toml")} | {
        f"direct estimator --sdk {sdk}" for sdk in ("v2", "v3", "boto3")
    }
    assert {str(path) for path in folder.rglob("shardyard.toml")} <= found <= allowed


def test_the_search_looks_into_the_layers(ended: dict[str, Outcome], folder: Path) -> None:
    for engine in ("direct", "docker"):
        inside = [
            where
            for where, data in everything(folder / "fetched" / engine, {})
            if b'"SM_CHANNEL_TRAIN"], "x.txt"' in data
        ]
        assert len(inside) == 1, engine  # the code layer


def test_nothing_temporary_is_left(ended: dict[str, Outcome], folder: Path) -> None:
    assert list((folder / "temporary").iterdir()) == []
