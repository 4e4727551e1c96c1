"""`shardyard run` on a real engine: what a job finds, how it ends, and what stays of it."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.toolkit.conftest import BASE, command
from tests.integration.toolkit.inside import Outcome, Step, run_inside

pytestmark = pytest.mark.testbed
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/local-demo:latest"
ODD = """it's "$HOME" `id` \\ %s ↓ a=b,c {}"""
STRANGER = 12345  # a user who is not root, although root's rights to read and write are left to him
AS_STRANGER = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
AS_STRANGER += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
BUCKET = """
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="data")
for key, body in {"set/a.txt": "A", "set/deep/b.txt": "B", "set/": "", "other": "O", "set2": "no"}.items():
    s3.put_object(Bucket="data", Key=key, Body=body)
"""
LEFT = """
import docker
client = docker.from_env()
jobs = {"filters": {"label": "shardyard.job"}}
print([c.name for c in client.containers.list(all=True, **jobs)], [n.name for n in client.networks.list(**jobs)])
"""
MOVE = f"""
import docker
client = docker.from_env()
client.images.get("{BASE}").tag("{URI}")
"""
PINNED = [sys.executable, "-m", "tests.integration.toolkit.pinned", "local-demo"]
TOML = f"""
[image]
name = "local-demo"
device = "cpu"
base = "{BASE}"
source_dir = "src"
[registry]
region = "us-east-1"
account = "123456789012"
[job]
instance_type = "ml.c5.xlarge"
instance_count = 2
checkpoint_local_path = "/opt/ml/kept"
MORE
[job.environment]
ODD = {json.dumps(ODD)}
EMPTY = ""
[job.hyperparameters]
mode = "MODE"
odd = {json.dumps(ODD)}
[run]
ulimits = {{nofile = 4321}}
"""


def project(folder: Path, mode: str, more: str = "") -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src/train.py").write_text(Path(__file__).with_name("local_script.py").read_text())
    (folder / "shardyard.toml").write_text(TOML.replace("MODE", mode).replace("MORE", more))
    (folder / "in:put").mkdir()
    (folder / "in:put/x.txt").write_text("local")
    return folder


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def facts(outcome: Outcome) -> dict[str, dict[str, Any]]:
    said = [line.partition("FACTS ")[2] for line in outcome.out.splitlines() if "FACTS " in line]
    return {one["host"]: one for one in map(json.loads, said)}


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in folder.rglob("*")}


def test_what_a_job_finds(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    here = project(tmp_path / "here", "look")
    look = [*command("run"), "--input", "-odd.name_=in:put", "--input", "one=in:put/x.txt"]
    look += ["--input", "s3=s3://data/set", "--input", "single=s3://data/other"]
    look += ["--checkpoints", "kept", "--output", "out"]
    built, _, first, second, empty, left = run_inside(
        testbed,
        Step(here, command("build")),
        Step(here, python(BUCKET)),
        Step(here, [*AS_STRANGER, *look]),
        Step(here, [*AS_STRANGER, *look]),
        Step(here, [*command("run"), "--input", "s3=s3://data/nowhere"]),
        Step(here, python(LEFT)),
    )
    assert built.code == 0, built
    assert first.code == second.code == 0, first
    found = facts(first)
    for host, one in found.items():
        assert one["hostname"] == host
        assert one["files"] == {
            "-odd.name_/x.txt": "local",
            "one/x.txt": "local",
            "s3/a.txt": "A",
            "s3/deep/b.txt": "B",
            "s3/2": "no",  # SageMaker's prefixes need not end at a slash
            "single/other": "O",
        }
        assert sorted(one["read_only"]) == ["-odd.name_", "s3", "single"]
        assert one["odd"] == one["environment"]["ODD"] == ODD
        assert one["environment"]["EMPTY"] == ""
        assert one["environment"]["AWS_ACCESS_KEY_ID"]
        assert one["nofile"] == [4321, 4321]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert one["shm"] == pytest.approx(memory / 2, rel=0.05)
        assert one["resources"]["network_interface_name"] in one["interfaces"]
        assert one["resources"]["current_instance_type"] == "ml.c5.xlarge"
        assert one["resources"]["current_host"] == host
        assert json.loads(one["channels"]) == ["-odd.name_", "one", "s3", "single"]
    assert set(found) == {"algo-1", "algo-2"}
    # Kept from run to run, seen by every host, and the caller's: as are all outputs.
    assert {len(one["checkpoints"]) for one in facts(second).values()} <= {2, 3}
    assert len(list((here / "kept").iterdir())) == 4
    assert owners(here / "kept") == owners(here / "out") == {STRANGER}
    assert (here / "out/algo-2/output/data/algo-2").read_text() == "data"
    with tarfile.open(here / "out/output.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["algo-1", "algo-2"]
    assert "hosts wrote different files 'model/weights'" in second.out
    assert empty.code == 2
    assert "nothing lies under 's3://data/nowhere'" in empty.err
    assert left.out == "[] []\n"


def test_how_jobs_end(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    burst, save = project(tmp_path / "burst", "burst"), project(tmp_path / "save", "save", "max_run = 15")
    deaf, work = project(tmp_path / "deaf", "deaf"), project(tmp_path / "work", "work")
    run, ending = command("run"), [sys.executable, "-m", "tests.integration.toolkit.ending"]
    built, failed, stopped, killed, interrupted, shot, one, other, left = run_inside(
        testbed,
        Step(work, command("build")),
        Step(burst, [*run, "--json"]),
        Step(save, run, background=True),
        Step(deaf, [*run, "--hosts", "1", "--timeout", "3"]),
        Step(deaf, [*ending, "SIGINT", "2", *run, "--output", "interrupted"]),
        Step(deaf, [*ending, "SIGKILL", "2", *run, "--output", "shot"]),
        Step(work, run, background=True),
        Step(work, run),
        Step(work, python(LEFT), after_all=True),
    )
    assert built.code == 0, built

    assert failed.code == 1
    report = json.loads(failed.out)
    assert (report["job_exit_code"], report["failed_host"]) == (23, "algo-2")
    assert report["exit_codes"] == {"algo-1": 0, "algo-2": 23}
    assert "23" in report["failures"]["algo-2"]
    log = (burst / ".shardyard/run/algo-2/log.txt").read_text().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {i}" for i in range(500)]
    assert "no newline at the end" in log
    assert "w" * 300_000 in log
    assert any("binary" in line for line in log)
    with tarfile.open(burst / ".shardyard/run/model.tar.gz") as tar:
        assert tar.getnames() == ["weights"]

    assert stopped.code == 1
    assert "job_exit_code=124" in stopped.out
    assert "ran past [job] max_run (15 s)" in stopped.err
    for host in ("algo-1", "algo-2"):
        assert f"{host} | saved on SIGTERM" in stopped.out
        assert (save / f".shardyard/run/{host}/model/last").read_text() == host
        assert (save / f".shardyard/run/{host}/checkpoints/state").read_text() == host

    assert "job_exit_code=124" in killed.out
    assert "ran past its time limit (3 s)" in killed.err

    assert interrupted.out.endswith("ended=130\n"), interrupted
    assert (deaf / "interrupted/algo-1/model/weights").read_text() == "algo-1"
    assert shot.out.endswith("ended=-9\n")
    said = one.out + other.out
    assert "removed what was left of shardyard-local-demo-" in said
    assert one.code == other.code == 0, (one, other)
    for place, hosts in (("run", ("algo-1", "algo-2")), ("run-2", ("algo-1", "algo-2"))):
        for host in hosts:
            assert (work / f".shardyard/{place}/{host}/model/weights").read_text() == host
    assert left.out == "[] []\n"


def test_which_image_runs(tmp_path: Path, testbed: tuple[str, ...]) -> None:
    here = project(tmp_path / "here", "work")
    run = [*command("run"), "--hosts", "1", "--image"]
    never, pushed, held, _, moved, missing, by_digest, gone, kept = run_inside(
        testbed,
        Step(here, [*run, "nowhere/at-all:1", "--pull", "never"]),
        Step(here, command("build-and-push", "--json")),
        Step(here, [*run, URI, "--pull", "never"]),
        Step(here, python(MOVE)),  # what this machine holds under the tag is another image now
        Step(here, [*run, URI]),
        Step(here, [*run, URI, "--pull", "missing"]),
        Step(here, [*PINNED, *run]),
        Step(here, ["env", "AWS_ENDPOINT_URL=http://127.0.0.1:9", *run, URI]),
        Step(here, ["env", "AWS_ENDPOINT_URL=http://127.0.0.1:9", *run, URI, "--pull", "never"]),
    )
    assert never.code == 3
    assert "has no image 'nowhere/at-all:1'" in never.err
    assert json.loads(pushed.out)["digest"]
    assert held.code == 0, held
    assert "has moved" not in held.out
    assert moved.code == missing.code == 0, (moved, missing)
    assert f"shardyard | {URI} has moved: from sha256:" in moved.out
    assert "has moved" not in missing.out
    assert by_digest.code == 0, by_digest
    assert gone.code == 4
    assert "--pull never" in gone.err
    assert kept.code == 0, kept
