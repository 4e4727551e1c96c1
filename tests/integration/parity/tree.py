"""A base folder as the platform lays it down, and the two launchers that can be started on a copy of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.environments.environment import python

REPOSITORY = Path(__file__).resolve().parents[3]
# What a machine brings by itself, and so must not decide what a test sees.
_FOREIGN = (
    "SM_",
    "SAGEMAKER_",
    "SHARDYARD_LOCAL",
    "SHARDYARD_CODE",
    "SHARDYARD_WHEELHOUSE",
    "TRAINING_JOB",
    "AWS_",
)


@dataclass
class Tree:
    name: str
    files: dict[str, str | bytes] = field(default_factory=dict)  # relative to the base folder
    hyperparameters: dict[str, Any] | None = field(default_factory=dict)  # None: no such file
    resource: dict[str, Any] | None = field(
        default_factory=lambda: {"current_host": "algo-1", "hosts": ["algo-1"]}
    )
    channels: dict[str, Any] | None = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, base: Path) -> Path:
        config = base / "input" / "config"
        for folder in (config, base / "output" / "data", base / "model"):
            folder.mkdir(parents=True)
        documents = {
            "hyperparameters": self.hyperparameters,
            "resourceconfig": self.resource,
            "inputdataconfig": self.channels,
        }
        for name, content in documents.items():
            if content is not None:
                (config / f"{name}.json").write_text(json.dumps(content))
        for name, text in self.files.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return base


@dataclass
class Result:
    base: Path
    exit_code: int
    out: bytes
    err: bytes

    @property
    def log(self) -> str:
        return (self.out + self.err).decode("utf-8", errors="replace")

    @property
    def failure(self) -> str | None:
        path = self.base / "output" / "failure"
        return path.read_text() if path.exists() else None

    @property
    def succeeded(self) -> bool:
        return (self.base / "output" / "success").exists()


def variables(base: Path, given: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    # Names of hosts need not resolve: both launchers leave the look-up out for Studio.
    return {**own, "SAGEMAKER_BASE_DIR": str(base), "SM_STUDIO_LOCAL_MODE": "true", **given}


def ours() -> list[str]:
    return [str(Path(sys.executable).with_name("train"))]


def incumbent() -> list[str]:
    return [str(python("sagemaker-training").with_name("train"))]


def start(command: list[str], base: Path, given: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = variables(base, given)
    if command == ours():
        paths = [str(REPOSITORY / "runtime"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return subprocess.Popen(
        command,
        env=environment,
        cwd=base,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes], base: Path, timeout: float = 60) -> Result:
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Result(base, process.returncode, out, err)


def run(tree: Tree, base: Path, command: list[str] | None = None, timeout: float = 60) -> Result:
    tree.write(base)
    return finish(start(command or ours(), base, tree.environment), base, timeout)
