"""The process engine: one launcher process a host, no Docker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from shardyard.errors import MissingError
from shardyard.local import contract, layout
from shardyard.local.spec import JobSpec
from shardyard.local.supervise import stop_all

LAUNCHER = "shardyard_runtime.launch"
MARK = "SHARDYARD_LOCAL_JOB"
LOOPBACK = "lo"
CHUNK = 65536
STOP_GRACE_S = 5.0


def with_mpirun(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with an mpirun on PATH: the one there, else the one beside this Python."""
    path = env.get("PATH", os.defpath)
    if shutil.which("mpirun", path=path):
        return dict(env)
    beside = os.path.dirname(sys.executable)
    if shutil.which("mpirun", path=beside):
        return {**env, "PATH": f"{beside}{os.pathsep}{path}"}
    raise MissingError(
        "no `mpirun` on PATH nor beside this Python: the process engine starts its ranks with it.\n"
        f"Type: {sys.executable} -m pip install 'shardyard[process]'"
    )


class ProcessHost:
    """Satisfies `Host`: the launcher's process, leader of a session of its own."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], mark: str) -> None:
        self.name = name
        self.mark = mark
        self._process = process

    def chunks(self) -> Iterable[bytes]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while chunk := os.read(descriptor, CHUNK):
            yield chunk

    def poll(self) -> int | None:
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def stop(self, grace_s: float) -> None:
        """SIGTERM to the launcher's group; after the grace SIGKILL to it and to all that bears the mark."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._signal(signal.SIGKILL)
        self._process.wait()
        sweep(self.mark)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def start(job: JobSpec, root: Path, keep_out: tuple[Path, ...] = ()) -> list[ProcessHost]:
    """Lays out every host under `<root>/<host>/opt/ml`, then starts a launcher for each."""
    bases = {host: root / host / "opt" / "ml" for host in job.host_names}
    for host, base in bases.items():
        layout.write(base, job, host, str(base / "code"), LOOPBACK)
        _link(root / host, job)
        layout.copy_code(base, job, keep_out)
    env = with_mpirun(os.environ) if job.needs_mpirun else dict(os.environ)
    started: list[ProcessHost] = []
    try:
        for host, base in bases.items():
            started.append(_start_one(job, host, base, env, bases))
    except BaseException:
        for one in started:
            one.stop(0)
        raise
    return started


def _link(machine: Path, job: JobSpec) -> None:
    """The inputs, and the folder of checkpoints: a link of its own place, or a folder of this run."""
    links = {place: path.absolute() for place, path in layout.places(job).items()}
    if job.checkpoints:
        links[job.checkpoint_path] = job.checkpoints
    else:
        _under(machine, job.checkpoint_path).mkdir(parents=True)
    for place, path in links.items():
        link = _under(machine, place)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _under(machine: Path, place: PurePosixPath) -> Path:
    return machine / place.relative_to("/")


def _start_one(
    job: JobSpec, host: str, base: Path, env: dict[str, str], bases: dict[str, Path]
) -> ProcessHost:
    given = contract.environment(job) | {
        "SAGEMAKER_BASE_DIR": str(base),
        "SHARDYARD_LOCAL_HOSTS": json.dumps({name: str(path) for name, path in bases.items()}),
        MARK: job.name,
    }
    if host in job.gpus:
        given["CUDA_VISIBLE_DEVICES"] = ",".join(job.gpus[host])
    process = subprocess.Popen(
        [sys.executable, "-m", LAUNCHER],
        cwd=base / "code",
        env=env | given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return ProcessHost(host, process, job.name)


def sweep(mark: str) -> list[int]:
    """Kills every process whose environment bears the mark: ranks put themselves into groups of their own.
    Returns the ids; where there is no /proc there is nothing to look in."""
    needle = f"{MARK}={mark}".encode()
    killed = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
    return killed


def finish(hosts: Sequence[ProcessHost]) -> None:
    """Nothing of the job stays: called always, also after Ctrl-C."""
    stop_all([host for host in hosts if host.poll() is None], STOP_GRACE_S)
    for host in hosts:
        sweep(host.mark)
