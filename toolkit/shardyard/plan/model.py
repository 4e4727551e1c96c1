"""Which partition would own which module of a model: asked of the runtime, in a process that may import torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from shardyard.errors import MissingError, ProjectError
from shardyard.project.model import Project
from shardyard_runtime.config.parameters import SmpConfig

_PREVIEW = "shardyard_runtime.torch.partition.preview"


def partitions_of(
    project: Project, model: str, config: SmpConfig, microbatches: Sequence[int] = ()
) -> dict[str, Any]:
    """The decision as the runtime makes it: ``owner`` of each module, ``shares``, ``by``, ``table``.

    With ``microbatches`` also ``predictions``, how a step of as many would go under each schedule.
    Raises MissingError without torch, ProjectError where ``model`` names nothing that makes one.
    """
    if project.image.framework != "pytorch":
        raise ProjectError(
            f"--model is for PyTorch, and the project's framework is {project.image.framework!r}"
        )
    if not all(model.partition(":")):
        raise ProjectError(f"--model {model!r} names no function: write it as package.module:function")
    command = [sys.executable, "-m", _PREVIEW, model, "--partitions", str(config.partitions)]
    command += ["--pipeline", config.pipeline, "--memory-weight", str(config.memory_weight)]
    command += ["--in-flight", str(min(config.microbatches, config.active_microbatches))]
    if microbatches:
        command += ["--active", str(config.active_microbatches), "--microbatches", *map(str, microbatches)]
    paths = [str(project.source_dir), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    done = subprocess.run(command, cwd=project.source_dir, env=env, capture_output=True, text=True)
    if "No module named 'torch'" in done.stderr:
        raise MissingError(
            f"--model needs PyTorch beside shardyard. Type: {sys.executable} -m pip install torch"
        )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ProjectError(f"--model {model!r} gave no model (exit code {done.returncode}):\n{last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
