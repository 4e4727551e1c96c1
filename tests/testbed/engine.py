"""A Docker engine of the testbed's own; its images stay in the cache between runs."""

from __future__ import annotations

import docker

from tests.testbed.settings import BRIDGE, BRIDGE_ADDRESS, Settings


def command(settings: Settings) -> list[str]:
    run = settings.folder / "run"
    config = run / "daemon.json"
    config.write_text("{}\n")
    settings.socket.unlink(missing_ok=True)
    return [
        "dockerd",
        f"--config-file={config}",
        f"--data-root={settings.folder / 'docker'}",
        f"--exec-root={settings.engine_state}",
        f"--pidfile={settings.engine_state / 'docker.pid'}",
        f"--host={settings.docker_host}",
        f"--bridge={BRIDGE}",
        f"--dns={BRIDGE_ADDRESS}",
        f"--cgroup-parent=/{settings.cgroup}",
        "--group=root",
        "--shutdown-timeout=3",
    ]


def answers(settings: Settings) -> bool:
    try:
        return _client(settings).ping()
    except (docker.errors.DockerException, OSError):
        return False


def tidy(settings: Settings) -> None:
    """Containers and networks that a killed predecessor left in the engine's books; images stay."""
    client = _client(settings)
    client.containers.prune()
    client.networks.prune()
    client.volumes.prune()


def _client(settings: Settings) -> docker.DockerClient:
    return docker.DockerClient(base_url=settings.docker_host, version="1.41", timeout=30)
