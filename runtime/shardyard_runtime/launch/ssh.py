"""Keys, a server and a client configuration for this job alone, in a private folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import processes
from .errors import LaunchError
from .timeouts import host_timeout

# For connections that live as long as the job; OpenSSH's own first choice costs both hosts 70 ms of a core.
KEY_EXCHANGES = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
# What mpirun's daemon needs before our wrapper runs; the platform's images preload what mends the host's name.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "OPAL_PREFIX")


def make_key(path: Path) -> str:
    """A fresh key pair; returns the public half."""
    command = [_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "shardyard", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text("utf-8").strip()


def user_name() -> str:
    """Not what $USER says: the job may have set that for a purpose of its own."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise LaunchError(
            f"This container runs as the user with id {os.geteuid()}, whom /etc/passwd of the image does not know, and "
            "ssh serves no such user. Add one with that id to the image, or run the container as another.",
            exit_code=3,
        ) from None


class Server:
    """This host's sshd, for the head's key only, which may come later than the server is started."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._program = _tool("sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd")
        self.host_key = make_key(folder / "host_key")
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)  # sshd refuses to run without it
        for _ in range(5):  # between choosing a free port and taking it, another program can take it
            self.port = _free_port()
            self._write_config()
            with open(self._folder / "sshd.log", "ab") as log:
                command = [self._program, "-D", "-e", "-f", str(self._folder / "sshd_config")]
                self._process = processes.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._answers():
                return
        reason = (self._folder / "sshd.log").read_text("utf-8", errors="replace").strip()[-500:]
        raise LaunchError(f"sshd does not start on this host: {reason or 'no message'}. Mend what it names.")

    def authorize(self, public_key: str) -> None:
        (self._folder / "authorized_keys").write_text(public_key + "\n", encoding="utf-8")

    def wait(self) -> int:
        """Its return code, once somebody ended it."""
        assert self._process is not None
        return self._process.wait()

    def _answers(self) -> bool:
        deadline = time.monotonic() + 10
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            time.sleep(0.02)
        return False

    def _write_config(self) -> None:
        variables = " ".join(_assignment(name, value) for name, value in self._environment.items())
        lines = [
            f"Port {self.port}",
            f"HostKey {self._folder / 'host_key'}",
            f"AuthorizedKeysFile {self._folder / 'authorized_keys'}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "AllowTcpForwarding no",
            "X11Forwarding no",
            "PrintMotd no",
            "UseDNS no",
            "LogLevel ERROR",
            "MaxStartups 1000",
            "TCPKeepAlive no",
            f"SetEnv {variables}",
        ]
        (self._folder / "sshd_config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_client_config(folder: Path, workers: dict[str, dict[str, str]]) -> Path:
    """An ssh configuration that knows every worker: address, port, user, and the one key to expect."""
    known = [f"{name} {worker['host_key']}" for name, worker in workers.items()]
    (folder / "known_hosts").write_text("\n".join(known) + "\n", encoding="utf-8")
    blocks = [
        f"Host {name}\n  HostName {worker['address']}\n  Port {worker['port']}\n  User {worker['user']}\n"
        f"  HostKeyAlias {name}\n"
        for name, worker in workers.items()
    ]
    blocks.append(
        f"Host *\n  IdentityFile {folder / 'identity'}\n  IdentitiesOnly yes\n  BatchMode yes\n"
        f"  StrictHostKeyChecking yes\n  UserKnownHostsFile {folder / 'known_hosts'}\n"
        "  GlobalKnownHostsFile none\n  LogLevel ERROR\n  GSSAPIAuthentication no\n"
        f"  KexAlgorithms {KEY_EXCHANGES}\n"
        # Whether a host is alive is watched elsewhere: a short pause must not end the connection.
        f"  ConnectTimeout {max(1, round(host_timeout()))}\n  ServerAliveInterval 0\n  TCPKeepAlive no\n"
    )
    path = folder / "ssh_config"
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def _assignment(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}={escaped}"'


def _free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


def _tool(name: str, *places: str) -> str:
    found = shutil.which(name) or next((place for place in places if os.access(place, os.X_OK)), None)
    if found is None:
        raise LaunchError(
            f"{name!r} is not installed in this image, and a job on several hosts needs it. Add "
            '"openssh-server" and "openssh-client" to apt in shardyard.toml and build again.'
        )
    return found
