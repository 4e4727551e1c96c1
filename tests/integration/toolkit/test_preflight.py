"""`check --online` against the testbed's AWS, its registries and its engine: all findings at once, nothing changed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.toolkit.conftest import BASE, make_project
from tests.integration.toolkit.inside import ROOT, SHARDYARD, Outcome, Step, run_inside

CHECK = [SHARDYARD, "check", "--online", "--json"]
NO_KEYS = ["env", "-u", "AWS_ACCESS_KEY_ID", "-u", "AWS_SECRET_ACCESS_KEY", "HOME=/nonexistent"]
# What stands in AWS beforehand, made without our own code.
SETUP = """
import boto3, docker, io, json, tarfile
trust = lambda service: json.dumps({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}]})
iam, s3, ecr = (boto3.client(name) for name in ("iam", "s3", "ecr"))
iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
iam.create_role(RoleName="wary", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
s3.create_bucket(Bucket="preflight-data")
s3.put_object(Bucket="preflight-data", Key="train/x", Body=b"x")
s3.create_bucket(Bucket="preflight-elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
ecr.create_repository(repositoryName="preflight-open")
tar = io.BytesIO()
tarfile.open(fileobj=tar, mode="w").close()
docker.from_env().api.import_image_from_data(tar.getvalue(), repository="preflight-copy", tag="1")
"""
JOB = """
role = "ROLE"
output_path = "s3://OUTPUT/out"
inputs = { train = "s3://preflight-data/INPUT" }
"""
REPOSITORIES = """
import boto3, json
print(json.dumps([r["repositoryName"] for r in boto3.client("ecr").describe_repositories()["repositories"]]))
"""
TIDY = "import docker; docker.from_env().images.remove('preflight-copy:1')"


def project(folder: Path, role: str, output: str, data: str, **changes: str) -> Path:
    file = make_project(folder) / "shardyard.toml"
    text = file.read_text().replace("[job]", "[job]" + JOB)
    for old, new in {"ROLE": role, "OUTPUT": output, "INPUT": data, **changes}.items():
        text = text.replace(old, new)
    file.write_text(text)
    return folder


def codes(outcome: Outcome, level: str = "error") -> dict[str, str]:
    """Where each finding of a level stands, by its code."""
    assert "Traceback" not in outcome.err
    return {one["code"]: one["where"] for one in json.loads(outcome.out)["findings"] if one["level"] == level}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, testbed: tuple[str, ...]) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("preflight")
    good = project(folder / "good", "trusting", "preflight-data", "train")
    there = project(
        folder / "there", "arn:aws:iam::123456789012:role/trusting", "preflight-data", "train",
        **{'name = "integration-demo"': 'name = "preflight-open"', "[registry]": "[registry]\nscan_on_push = true"},
    )  # fmt: skip
    bad = project(
        folder / "bad", "wary", "preflight-elsewhere", "nothing",
        **{":2.13.0-cpu-py311-ubuntu22.04-sagemaker": ":9.9"},
    )  # fmt: skip
    gone = project(
        folder / "gone", "nobody", "preflight-nowhere", "train", **{"123456789012": "763104351884"}
    )
    arm = project(
        folder / "arm", "arn:aws:iam::999999999999:role/x", "preflight-data", "train",
        **{'device = "cpu"': 'device = "cpu"\nplatform = "linux/arm64"'},
    )  # fmt: skip
    copy = project(
        folder / "copy", "trusting", "preflight-data", "train", **{f'"{BASE}"': '"preflight-copy:1"'}
    )
    steps = {
        "setup": Step(ROOT, [sys.executable, "-c", SETUP]),
        "before": Step(ROOT, [sys.executable, "-c", REPOSITORIES]),
        "good": Step(good, CHECK),
        "there": Step(there, CHECK),
        "bad": Step(bad, CHECK),
        "gone": Step(gone, CHECK),
        "arm": Step(arm, CHECK),
        "copy": Step(copy, CHECK),
        "copy, direct": Step(
            project(
                folder / "direct",
                "trusting",
                "preflight-data",
                "train",
                **{f'"{BASE}"': '"preflight-copy:1"\nengine = "direct"'},
            ),
            CHECK,
        ),
        "no keys": Step(good, [*NO_KEYS, *CHECK]),
        "no engine": Step(good, ["env", "DOCKER_HOST=unix:///no/such.sock", *CHECK]),
        "no region": Step(good, ["env", "-u", "AWS_REGION", "-u", "AWS_DEFAULT_REGION", *CHECK]),
        "after": Step(ROOT, [sys.executable, "-c", REPOSITORIES]),
        "tidy": Step(ROOT, [sys.executable, "-c", TIDY]),
    }
    outcomes = dict(zip(steps, run_inside(testbed, *steps.values()), strict=True))
    assert outcomes["setup"].code == 0, outcomes["setup"]
    return outcomes


@pytest.mark.testbed
def test_a_project_that_can_start(ended: dict[str, Outcome]) -> None:
    assert (ended["good"].code, codes(ended["good"])) == (0, {})
    assert codes(ended["good"], "note") == {"new-repository": "registry.repository"}
    assert (ended["there"].code, codes(ended["there"])) == (0, {})
    assert codes(ended["there"], "warning") == {"repository-settings": "registry.repository"}


@pytest.mark.testbed
def test_everything_that_the_other_side_refuses_is_said_at_once(ended: dict[str, Outcome]) -> None:
    assert ended["bad"].code == 4
    assert codes(ended["bad"]) == {
        "no-base-image": "image.base",
        "role-trust": "job.role",
        "no-data": "job.inputs.train",
        "bucket-region": "job.output_path",
    }
    assert ended["gone"].code == 4
    assert codes(ended["gone"]) == {
        "no-repository": "registry.repository",
        "no-role": "job.role",
        "no-bucket": "job.output_path",
    }
    assert codes(ended["gone"], "note") == {"cross-account": "registry.account"}
    for finding in json.loads(ended["bad"].out)["findings"]:
        assert finding["remedy"] or finding["level"] == "note", finding


@pytest.mark.testbed
def test_a_base_for_another_platform_and_a_role_of_another_account(ended: dict[str, Outcome]) -> None:
    found = codes(ended["arm"])
    assert ended["arm"].code == 4
    assert found == {"base-platform": "image.base", "role-account": "job.role"}
    assert "is made for 'linux/amd64', the project wants 'linux/arm64'" in ended["arm"].out


@pytest.mark.testbed
def test_a_base_that_the_docker_engine_has_need_not_be_pulled(ended: dict[str, Outcome]) -> None:
    assert ended["copy"].code == 0
    assert codes(ended["copy"], "note")["base-refused"] == "image.base"
    assert (ended["copy, direct"].code, codes(ended["copy, direct"])) == (4, {"base-refused": "image.base"})


@pytest.mark.testbed
def test_what_this_machine_lacks(ended: dict[str, Outcome]) -> None:
    assert (ended["no keys"].code, codes(ended["no keys"])) == (3, {"no-credentials": "credentials"})
    assert (ended["no engine"].code, codes(ended["no engine"])) == (3, {"no-engine": "image.engine"})
    assert ended["no region"].code == 0  # [registry] has one


@pytest.mark.testbed
def test_nothing_was_made(ended: dict[str, Outcome]) -> None:
    before, after = (json.loads(ended[when].out) for when in ("before", "after"))
    assert "preflight-open" in before  # the testbed's AWS is other tests', too
    assert after == before


@contextmanager
def deaf() -> Iterator[str]:
    """An AWS that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for one in held:
            one.close()


def test_an_aws_that_never_answers_costs_a_bounded_time(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    with deaf() as url:
        env = {
            "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x", "DOCKER_HOST": "unix:///no/such.sock",
        }  # fmt: skip
        started = time.monotonic()
        done = subprocess.run(CHECK, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    found = {one["code"] for one in json.loads(done.stdout)["findings"]}
    assert "Traceback" not in done.stderr
    assert done.returncode == 3
    assert {"credentials", "no-engine"} <= found
    assert time.monotonic() - started < 90  # a hang, not a measurement
