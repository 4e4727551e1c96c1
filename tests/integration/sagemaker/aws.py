"""A stand-in for AWS on a port of its own, and the environment that sends every client there."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shardyard_runtime.launch.prctl import die_with_parent

REGION = "us-east-1"
BUCKET = "shardyard-sdk"
RECORDING = "moto-requests"
# Without a bucket of its own the SDK asks STS for the account, at an address that nothing can redirect.
DEFAULTS = """
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {bucket}
"""


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[str]:
    """The address of a moto that has ended when the block has, or when this process has been killed."""
    log = folder / "moto.log"
    with open(log, "wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        recording = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(folder / RECORDING)}
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, **recording},
            preexec_fn=die_with_parent,
        )
    try:
        yield _address(process, log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < give_up:
        found = re.search(r"Running on (http://[\d.:]+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"moto did not start:\n{log.read_text()}")


def training_job_requests(folder: Path) -> dict[str, dict[str, Any]]:
    """What CreateTrainingJob was asked for, by the job's name: moto keeps only a part of it."""
    made = {}
    for line in (folder / RECORDING).read_text().splitlines():
        entry = json.loads(line)
        if entry["headers"].get("X-Amz-Target") == "SageMaker.CreateTrainingJob":
            request = json.loads(base64.b64decode(entry["body"]) if entry["body_encoded"] else entry["body"])
            made[request["TrainingJobName"]] = request
    return made


def client_environment(endpoint: str, folder: Path, bucket: str = BUCKET) -> dict[str, str]:
    """This process's environment, without its user's AWS."""
    defaults = folder / "sdk-defaults.yaml"
    defaults.write_text(DEFAULTS.format(bucket=bucket))
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(defaults),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",  # that there is a version 3; every other warning is ours
    }
