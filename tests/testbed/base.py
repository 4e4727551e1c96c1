"""The stand-in for the base image that a project names in its FROM line: made once, then found again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tests.testbed import environment, ingredients, namespace
from tests.testbed.locks import locked
from tests.testbed.settings import BASE_ACCOUNT, ROOT, Settings, ecr_host

TAG = "2.13.0-cpu-py311-ubuntu22.04-sagemaker"
IMAGE = f"{ecr_host(BASE_ACCOUNT)}/pytorch-training:{TAG}"
DOCKERFILE = ROOT / "dockerfiles" / "pytorch-training.cpu.Dockerfile"


class Failed(Exception):
    """The stand-in base was not made."""


def recipe() -> str:
    """What the image is made from; another recipe makes another image."""
    parts = [IMAGE, DOCKERFILE.read_text(), json.dumps(ingredients.PACKAGES), json.dumps(ingredients.WHEELS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stamp(settings: Settings) -> Path:
    return settings.folder / "bases" / TAG


def is_pushed(settings: Settings) -> bool:
    stamp = _stamp(settings)
    return stamp.exists() and stamp.read_text() == recipe()


def prepare(settings: Settings) -> None:
    """Outside, where the network is: everything that the build needs."""
    if not is_pushed(settings):
        with locked(settings.folder / "run" / "base.lock"):
            ingredients.ensure_rootfs(settings)
            ingredients.ensure_wheels(settings)


def ensure(settings: Settings, pid: int) -> None:
    """Build and push the image in the running testbed, unless that was done."""
    with locked(settings.folder / "run" / "base.lock"):
        if is_pushed(settings):
            return
        print(f"building the stand-in base {IMAGE} (once, a few minutes)", file=sys.stderr)
        command = [sys.executable, "-m", "tests.testbed.build_base"]
        entered = namespace.enter_command(pid, ROOT, command)
        if subprocess.run(entered, env=environment.inside(settings), stdout=sys.stderr).returncode:
            raise Failed(f"the stand-in base was not built; see above, and the logs in {settings.logs}")
        _stamp(settings).parent.mkdir(exist_ok=True)
        _stamp(settings).write_text(recipe())
