"""Bringing the testbed up and down. One lock serialises it; another lives as long as the supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.testbed import certificates, namespace, requirements
from tests.testbed.locks import is_held, locked, open_lock, try_lock
from tests.testbed.settings import ROOT, Settings

START_WITHIN = 90.0
STOP_WITHIN = 15.0


class Failed(Exception):
    """The testbed did not come up; the message says why."""


def changing(settings: Settings) -> Path:
    """Held while someone brings the testbed up or down."""
    return settings.folder / "run" / "change.lock"


def _alive(settings: Settings) -> Path:
    """Held by the supervisor for as long as it lives."""
    return settings.folder / "run" / "alive.lock"


def running_pid(settings: Settings) -> int | None:
    """The supervisor's process id, seen from outside, or None when it is not running."""
    if not is_held(_alive(settings)) or not settings.ready.exists():
        return None
    with suppress(OSError, ValueError, KeyError):
        return int(json.loads(settings.state.read_text())["supervisor"])
    return None


def up(settings: Settings) -> int:
    """Bring it up unless it is; the supervisor's process id. The caller holds the lock `changing`."""
    pid = running_pid(settings)
    if pid is not None:
        return pid
    requirements.check()
    certificates.ensure(settings)
    down(settings)  # whatever a killed predecessor left in files
    settings.ready.unlink(missing_ok=True)
    alive = open_lock(_alive(settings))
    try:
        if not try_lock(alive):
            raise Failed("another supervisor is still running; try again")
        with open(settings.logs / "supervisor.log", "wb") as log:
            process = subprocess.Popen(
                namespace.create_command(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[alive],
                start_new_session=True,
                env={**os.environ, "SHARDYARD_CACHE": str(settings.cache)},
            )
    finally:
        os.close(alive)
    return _wait(settings, process)


def _wait(settings: Settings, process: subprocess.Popen[bytes]) -> int:
    give_up = time.monotonic() + START_WITHIN
    supervisor: int | None = None
    while time.monotonic() < give_up:
        if process.poll() is not None:
            log = (settings.logs / "supervisor.log").read_text(errors="replace").strip()
            raise Failed(f"the supervisor ended ({process.returncode}): {log[-2000:]}\nLogs: {settings.logs}")
        supervisor = supervisor or _child(process.pid)
        if supervisor and not settings.state.exists():
            settings.state.write_text(json.dumps({"supervisor": supervisor, "unshare": process.pid}))
        if supervisor and settings.ready.exists():
            return supervisor
        time.sleep(0.05)
    process.kill()
    raise Failed(f"not up after {START_WITHIN:.0f} s. Logs: {settings.logs}")


def _child(pid: int) -> int | None:
    """The only child of a process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    return int(entry.name)
    return None


def down(settings: Settings) -> None:
    """Stop it if it runs, and clear what it leaves in files. The caller holds the lock `changing`."""
    alive = _alive(settings)
    if is_held(alive):
        state = json.loads(settings.state.read_text()) if settings.state.exists() else {}
        for number, patience in ((signal.SIGTERM, STOP_WITHIN), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError, KeyError):
                os.kill(state["supervisor"], number)
            give_up = time.monotonic() + patience
            while is_held(alive) and time.monotonic() < give_up:
                time.sleep(0.05)
        if is_held(alive):
            raise Failed(f"the supervisor {state.get('supervisor')} does not end")
    for path in (settings.state, settings.ready, settings.socket, ephemeral(settings)):
        path.unlink(missing_ok=True)
    _remove_cgroups(settings.cgroup)


def _remove_cgroups(name: str) -> None:
    """Empty control groups outlive a killed engine; those in use refuse to go."""
    for top in (*Path("/sys/fs/cgroup").glob(f"*/{name}"), Path("/sys/fs/cgroup") / name):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


def ephemeral(settings: Settings) -> Path:
    """There while the testbed is up only for the commands that run in it."""
    return settings.folder / "run" / "ephemeral"


def _users(settings: Settings) -> Path:
    """Held, shared, by every command that runs inside."""
    return settings.folder / "run" / "users.lock"


@contextmanager
def attached(settings: Settings) -> Iterator[int]:
    """The testbed while the block runs; the last user takes it down if it was brought up for them."""
    users = open_lock(_users(settings))
    try:
        with locked(changing(settings)):
            fresh = running_pid(settings) is None
            pid = up(settings)
            if fresh:
                ephemeral(settings).touch()
            try_lock(users, shared=True)
        yield pid
    finally:
        with locked(changing(settings)):
            if ephemeral(settings).exists() and try_lock(users):
                down(settings)
            os.close(users)


def abandoned(settings: Settings) -> bool:
    """Whether it is up for commands that are all gone, killed before they could take it down.

    Asked by the supervisor, which then holds both locks until it ends, so that nobody joins meanwhile.
    """
    if not ephemeral(settings).exists():
        return False
    change = open_lock(changing(settings))
    users = open_lock(_users(settings))
    if try_lock(change) and try_lock(users):
        return True
    os.close(users)
    os.close(change)
    return False
