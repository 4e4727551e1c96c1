"""One image with both launchers; the incumbent lies in a layer of its own, which only this benchmark has."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import docker

from tests.integration.faults import image
from tests.testbed.settings import ROOT, Settings

REQUIREMENTS = ROOT / "tests" / "environments" / "sagemaker-training.txt"
TAG = "shardyard-bench-launch:latest"
# What the platform's own images do for it: one key for all hosts, and no question about host keys.
DOCKERFILE = """FROM {base}
COPY wheels /opt/wheels
RUN pip install --no-index --no-cache-dir --find-links /opt/wheels sagemaker-training && rm -r /opt/wheels
RUN ssh-keygen -A && mkdir -p /root/.ssh && ssh-keygen -q -t rsa -N '' -f /root/.ssh/id_rsa \\
 && cp /root/.ssh/id_rsa.pub /root/.ssh/authorized_keys \\
 && echo 'StrictHostKeyChecking no' > /root/.ssh/config \\
 && sed -i 's/required *pam_loginuid.so/optional pam_loginuid.so/' /etc/pam.d/sshd
"""


def build(client: docker.DockerClient, settings: Settings) -> str:
    base = image.build(client, settings)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        text = DOCKERFILE.format(base=base).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
        archive.add(str(_wheels(settings)), arcname="wheels")
    packed.seek(0)
    client.images.build(fileobj=packed, custom_context=True, tag=TAG, rm=True, forcerm=True)
    return TAG


def _wheels(settings: Settings) -> Path:
    """The incumbent and what it needs, built once; its extension needs a compiler on this machine."""
    folder = settings.cache / "wheels-sagemaker-training"
    listing = folder / "complete.txt"
    wanted = REQUIREMENTS.read_text()
    if not listing.exists() or listing.read_text() != wanted:
        command = [sys.executable, "-m", "pip", "wheel", "-q", "-w", str(folder), "-r", str(REQUIREMENTS)]
        subprocess.run(command, check=True)
        listing.write_text(wanted)
    return folder
