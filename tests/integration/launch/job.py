"""Hosts of one job as plain processes on this machine, as the process engine starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass
class Result:
    exit_codes: list[int]
    logs: list[str]
    failures: list[str]
    seconds: float
    root: Path


@dataclass
class Job:
    root: Path
    script: str
    hosts: int = 2
    per_host: int = 2
    hyperparameters: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        names = [f"algo-{number}" for number in range(1, self.hosts + 1)]
        bases = {name: self.root / name / "opt" / "ml" for name in names}
        for name, base in bases.items():
            self._lay_out(name, names, base)
        for base in bases.values():
            variables = {
                **os.environ,
                "PYTHONPATH": str(REPOSITORY / "runtime"),
                "SAGEMAKER_BASE_DIR": str(base),
                "SHARDYARD_LOCAL_HOSTS": json.dumps({name: str(path) for name, path in bases.items()}),
                "SHARDYARD_HOST_TIMEOUT": "20",
                "MARK": str(self.root),
                **self.environment,
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "shardyard_runtime.launch"],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self.processes.append(process)

    def finish(self, timeout: float = 60) -> Result:
        start = time.monotonic()
        try:
            logs = [process.communicate(timeout=timeout)[0] for process in self.processes]
        finally:
            self.kill()
        return Result(
            exit_codes=[process.returncode for process in self.processes],
            logs=logs,
            failures=[self._failure(number) for number in range(1, self.hosts + 1)],
            seconds=time.monotonic() - start,
            root=self.root,
        )

    def run(self) -> Result:
        self.start()
        return self.finish()

    def kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def survivors(self) -> list[str]:
        """Command lines of processes of this job that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"MARK={self.root}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def _failure(self, number: int) -> str:
        path = self.root / f"algo-{number}" / "opt" / "ml" / "output" / "failure"
        return path.read_text() if path.exists() else ""

    def _lay_out(self, name: str, names: list[str], base: Path) -> None:
        config = base / "input" / "config"
        config.mkdir(parents=True)
        (base / "code").mkdir()
        (base / "code" / "train.py").write_text(textwrap.dedent(self.script))
        values = {
            "sagemaker_program": '"train.py"',
            "sagemaker_mpi_enabled": "true",
            "sagemaker_mpi_num_of_processes_per_host": str(self.per_host),
            **self.hyperparameters,
        }
        (config / "hyperparameters.json").write_text(json.dumps(values))
        resource = {"current_host": name, "hosts": names, "network_interface_name": "eth0"}
        (config / "resourceconfig.json").write_text(json.dumps(resource))
        (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
