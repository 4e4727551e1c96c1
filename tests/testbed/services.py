"""What runs in the testbed: each service is a command, and a question that tells whether it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.testbed import engine, registries
from tests.testbed.probes import listening
from tests.testbed.settings import ADDRESSES, MOTO_PORT, RECEIVER_PORT, ROOT, Settings


@dataclass
class Service:
    name: str
    command: list[str]
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, settings: Settings) -> None:
        with open(settings.logs / f"{self.name}.log", "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
            )

    def check(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            code = self.process.returncode
            raise RuntimeError(f"{self.name} ended with exit code {code}; see {self.name}.log")
        return self.ready()


def all_services(settings: Settings) -> list[Service]:
    """In the order of starting; they are stopped in the opposite order."""
    moto = [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", str(MOTO_PORT)]
    receiver = [sys.executable, "-m", "tests.testbed.receiver"]
    names = [sys.executable, "-m", "tests.testbed.names"]
    found = [
        Service("names", names, lambda: True),
        Service("dockerd", engine.command(settings), lambda: engine.answers(settings)),
        Service("moto", moto, listening("127.0.0.1", MOTO_PORT)),
        Service("receiver", receiver, listening("127.0.0.1", RECEIVER_PORT)),
    ]
    for account, address in ADDRESSES.items():
        command = registries.command(settings, account)
        found.append(Service(f"registry-{account}", command, listening(address, 443)))
    return found
