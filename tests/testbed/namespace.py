"""The namespaces that keep the testbed off the machine: mounts, network and processes of its own.

Nothing here has to be undone: mounts, bridges, iptables rules and processes go with the namespaces, and those
go with their first process, however it ends.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.testbed.settings import ADDRESSES, BRIDGE, BRIDGE_ADDRESS, ROOT, Settings, ecr_host

ENTER = 'cd "$1" && shift && exec setpriv --pdeathsig TERM -- "$@"'


def create_command() -> list[str]:
    """Starts the supervisor as the first process of new namespaces."""
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*unshare, "--", sys.executable, "-m", "tests.testbed.supervisor"]


def enter_command(pid: int, folder: Path, command: list[str]) -> list[str]:
    """Runs a command beside the supervisor, in a folder; it is told when the caller dies."""
    nsenter = ["nsenter", "--target", str(pid), "--mount", "--net", "--pid", "--"]
    return [*nsenter, "sh", "-c", ENTER, "sh", str(folder), *command]


def furnish(settings: Settings) -> None:
    """Called by the supervisor: host names, certificates and the network, in the new namespaces only."""
    _hosts(settings)
    _docker_certificates(settings)
    _engine_state(settings)
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "name", BRIDGE, "type", "bridge"],
        ["ip", "address", "add", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ):
        _run(command)


def _hosts(settings: Settings) -> None:
    lines = [f"{address} {ecr_host(account)}" for account, address in ADDRESSES.items()]
    copy = settings.folder / "run" / "hosts"
    copy.write_text(Path("/etc/hosts").read_text().rstrip("\n") + "\n" + "\n".join(lines) + "\n")
    _run(["mount", "--bind", str(copy), "/etc/hosts"])


def _docker_certificates(settings: Settings) -> None:
    """Over all of /etc/docker, so that the mount point exists and the machine's daemon.json has no say."""
    _run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", "/etc/docker"])
    for account in ADDRESSES:
        folder = Path("/etc/docker/certs.d") / ecr_host(account)
        folder.mkdir(parents=True)
        shutil.copy(settings.certificates / "ca.pem", folder / "ca.crt")


def _engine_state(settings: Settings) -> None:
    """In memory: the process ids that a killed engine leaves would mean others in the next namespace."""
    settings.engine_state.mkdir(exist_ok=True)
    _run(["mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", str(settings.engine_state)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
