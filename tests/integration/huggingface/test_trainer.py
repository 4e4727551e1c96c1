"""Hugging Face's Trainer, as pip installs it, by its own SMP path: the losses of a serial run, resumed ones too."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.environments.environment import python

ROOT = Path(__file__).parents[3]
RANKS = 4


def test_trains_evaluates_saves_and_resumes_like_serial(tmp_path: Path) -> None:
    interpreter = python("huggingface")
    command = [str(interpreter.with_name("mpirun")), "--allow-run-as-root", "--oversubscribe"]
    command += ["--bind-to", "none", "-np", str(RANKS), str(interpreter), "-m", "mpi4py"]
    command += ["-m", "tests.integration.huggingface.trainer_worker", str(tmp_path)]
    parameters = {"partitions": 2, "microbatches": 2, "ddp": True}
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT / 'runtime'}{os.pathsep}{ROOT}",
        "SM_HP_MP_PARAMETERS": json.dumps(parameters),
        "SM_FRAMEWORK_PARAMS": json.dumps({"sagemaker_mpi_enabled": True}),
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # its own torch.load of random states is older than that default
    }
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for stage in ("equal losses", "equal evaluation", "resumed"):
        assert done.stdout.count(f"{stage} rank=") == RANKS
