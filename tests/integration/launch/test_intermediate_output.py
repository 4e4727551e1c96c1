"""What a job writes to output/intermediate is in S3 while it runs, and all of it when it has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.parity.tree import Tree, finish, ours, run, start

WRITE = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"])
(folder / "deep").mkdir()
(folder / "deep" / "part").write_text("early")
os.rename(folder / "deep" / "part", folder / "deep" / "first")
while END == "waits" and not (folder.parent / "go").exists():
    time.sleep(0.02)
(folder / "deep" / "first").write_text("late")
(folder / "last").write_bytes(bytes(9_000_000))
"""


@pytest.fixture(scope="module")
def storage() -> Iterator[tuple[Any, dict[str, str]]]:
    """A stand-in for S3, and what a container's environment says of it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    environment = {**keys, "S3_ENDPOINT_URL": f"http://{host}:{port}", "NO_PROXY": host}
    client = boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="bucket")
    yield client, environment
    server.stop()


def job(environment: dict[str, str], name: str, end: str, script: str = WRITE) -> Tree:
    values = {"sagemaker_s3_output": '"s3://bucket/out/"', "sagemaker_region": '"us-east-1"'}
    return Tree(
        "job",
        {"code/train.py": f"END = {json.dumps(end)}\n" + script},
        {"sagemaker_program": '"train.py"', **values},
        environment={**environment, "TRAINING_JOB_NAME": name},
    )


def objects(client: Any, name: str) -> dict[str, bytes]:
    prefix = f"out/{name}/output/intermediate/"
    listed = client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return {
        one["Key"].removeprefix(prefix): client.get_object(Bucket="bucket", Key=one["Key"])["Body"].read()
        for one in listed
    }


def test_files_arrive_while_the_job_runs_and_all_before_it_ends(
    storage: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    client, environment = storage
    tree = job(environment, "runs", "waits")
    tree.write(tmp_path)
    process = start(ours(), tmp_path, tree.environment)
    deadline = time.monotonic() + 40
    while "deep/first" not in objects(client, "runs"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    assert objects(client, "runs") == {"deep/first": b"early"}
    (tmp_path / "output" / "go").touch()
    result = finish(process, tmp_path)
    assert result.exit_code == 0, result.log
    assert objects(client, "runs") == {"deep/first": b"late", "last": bytes(9_000_000)}


@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(7)", 7), ("raise SystemExit", 0), ("os.kill(os.getpid(), 9)", 137), ("os._exit(3)", 3)],
)
def test_the_last_file_is_there_however_the_job_ends(
    storage: tuple[Any, dict[str, str]], tmp_path: Path, end: str, code: int
) -> None:
    client, environment = storage
    name = f"ends-{code}"
    result = run(job(environment, name, "now", f"{WRITE}\n{end}\n"), tmp_path)
    assert result.exit_code == code, result.log
    assert objects(client, name)["last"] == bytes(9_000_000)


def test_storage_that_is_not_there_is_named_and_holds_nobody(
    storage: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    environment = {**storage[1], "S3_ENDPOINT_URL": "http://127.0.0.1:9", "SHARDYARD_UPLOAD_TIMEOUT": "10"}
    result = run(job(environment, "nowhere", "now"), tmp_path)
    assert result.exit_code == 0, result.log
    assert result.succeeded
    assert "2 file(s)" in result.log
    assert "are not in S3: deep/first, last" in result.log


def test_a_bucket_that_refuses_is_named(storage: tuple[Any, dict[str, str]], tmp_path: Path) -> None:
    tree = job(storage[1], "refused", "now")
    assert tree.hyperparameters is not None
    tree.hyperparameters["sagemaker_s3_output"] = "s3://no-such-bucket/x"
    result = run(tree, tmp_path)
    assert result.exit_code == 0
    assert "NoSuchBucket" in result.log
