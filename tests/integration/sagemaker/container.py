"""The container command of a job request, run on this machine with the channels and files that the job would have."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT = 300
HOST = "algo-1"


def run(request: dict[str, Any], s3: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    """`folder` is the container's /opt/ml: in a mount namespace of its own, so the machine's is left alone."""
    config = folder / "input" / "config"
    config.mkdir(parents=True)
    for name in ("model", "output/data"):
        (folder / name).mkdir(parents=True)
    files = {
        "hyperparameters": request["HyperParameters"],
        "resourceconfig": resource_config(request, HOST, [HOST], "lo"),
        "inputdataconfig": {one["ChannelName"]: {} for one in request["InputDataConfig"]},
    }
    for name, value in files.items():
        (config / f"{name}.json").write_text(json.dumps(value))
    for channel in request["InputDataConfig"]:
        _download(
            channel["DataSource"]["S3DataSource"]["S3Uri"],
            s3,
            folder / "input" / "data" / channel["ChannelName"],
        )
    algorithm = request["AlgorithmSpecification"]
    command = shlex.join([*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]])
    inside = f"mount -t tmpfs none /opt && mkdir /opt/ml && mount --bind {shlex.quote(str(folder))} /opt/ml && exec {command}"
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", inside],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("SM_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # python and the runtime's train
            "TRAINING_JOB_NAME": request["TrainingJobName"],
        },
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def resource_config(request: dict[str, Any], host: str, hosts: list[str], interface: str) -> dict[str, Any]:
    return {
        "current_host": host,
        "hosts": hosts,
        "current_instance_type": request["ResourceConfig"]["InstanceType"],
        "current_group_name": "homogeneousCluster",
        "network_interface_name": interface,
        "instance_groups": [],
    }


def _download(uri: str, s3: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in channel_files(uri, s3).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def channel_files(uri: str, s3: Any) -> dict[str, bytes]:
    """What lies there, by its place in the channel; a bucket that nobody made is an empty channel."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    except s3.exceptions.NoSuchBucket:
        return {}
    return {
        one["Key"].removeprefix(prefix).lstrip("/"): s3.get_object(Bucket=bucket, Key=one["Key"])[
            "Body"
        ].read()
        for one in found
    }
