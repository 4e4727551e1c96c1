"""A Docker engine of the testbed's own; its images stay in the cache between runs."""

from __future__ import annotations

import http.client
import socket

from tests.testbed.settings import BRIDGE, Settings


def command(settings: Settings) -> list[str]:
    run = settings.folder / "run"
    config = run / "daemon.json"
    config.write_text("{}\n")
    for stale in (run / "docker.pid", settings.socket):
        stale.unlink(missing_ok=True)
    return [
        "dockerd",
        f"--config-file={config}",
        f"--data-root={settings.folder / 'docker'}",
        f"--exec-root={run / 'docker'}",
        f"--pidfile={run / 'docker.pid'}",
        f"--host={settings.docker_host}",
        f"--bridge={BRIDGE}",
        f"--cgroup-parent=/{settings.cgroup}",
        "--group=root",
        "--shutdown-timeout=3",
    ]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(2)
        self.sock.connect(self._path)


def answers(settings: Settings) -> bool:
    connection = _UnixConnection(str(settings.socket))
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
