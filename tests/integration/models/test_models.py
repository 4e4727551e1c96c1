"""Models of transformers, a ResNet and a U-Net, unmodified, partitioned by themselves, equal the serial run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.environments.environment import python

ROOT = Path(__file__).parents[3]
MODELS = ("gpt2", "bert", "t5", "vit", "resnet", "unet")


@pytest.mark.parametrize("partitions", [2, 4])
def test_models_equal_serial(partitions: int) -> None:
    interpreter = python("transformers")
    command = [str(interpreter.with_name("mpirun")), "--allow-run-as-root", "--oversubscribe"]
    command += ["--bind-to", "none", "-np", str(partitions), str(interpreter), "-m", "mpi4py"]
    command += ["-m", "tests.integration.models.models_worker"]
    command += [json.dumps({"partitions": partitions, "microbatches": 2})]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": f"{ROOT / 'runtime'}{os.pathsep}{ROOT}",
    }
    env.pop("SM_HP_MP_PARAMETERS", None)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    for model in MODELS:
        assert done.stdout.count(f"equal {model} ") == partitions
    assert done.stderr.count("partitioned by a trace on meta") == len(MODELS)
