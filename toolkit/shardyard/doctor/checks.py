"""The checks, in the order they are shown, and those of what `--fix` leaves to the user."""

from __future__ import annotations

import sys

import boto3
from botocore.exceptions import BotoCoreError

from shardyard.doctor.base import Check, Repair, Report
from shardyard.doctor.folders import Cache, Disk
from shardyard.doctor.packages import DirectTools, Mpi
from shardyard.engines.connect import BROKEN, connect
from shardyard.errors import MissingError

OLDEST_PYTHON = (3, 10)


class Python:
    name = "python"

    def look(self) -> Report:
        found = ".".join(str(part) for part in sys.version_info[:3])
        ok = sys.version_info[:2] >= OLDEST_PYTHON
        return Report(self.name, ok, f"Python {found}", "" if ok else "install Python 3.11")

    def fix(self) -> Repair:
        return Repair(False, "no other Python is installed for you")


class DockerReachable:
    name = "docker"

    def look(self) -> Report:
        try:
            version = connect(timeout=10).version()
        except MissingError as error:
            first, _, rest = error.message.partition("\n")
            return Report(self.name, False, first, rest.partition("\n")[0])
        except BROKEN as error:
            return Report(self.name, False, f"the engine broke off: {error}", "restart it")
        return Report(self.name, True, f"engine {version.get('Version')} ({version.get('Arch')})")

    def fix(self) -> Repair:
        return Repair(False, "a Docker engine runs as root, so none is installed or started for you")


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

    def fix(self) -> Repair:
        return Repair(False, "keys are yours to enter")


def all_checks() -> list[Check]:
    return [Python(), DockerReachable(), Credentials(), Disk(), Cache(), Mpi(), DirectTools()]
