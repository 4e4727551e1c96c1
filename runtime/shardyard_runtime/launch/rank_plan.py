"""What a host tells its own ranks: a private file that is read before the user's script runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RUN_DIR = "SHARDYARD_RUN_DIR"  # this host's private folder; set by its own sshd or launcher
RUN_DIRS = "SHARDYARD_RUN_DIRS"  # process mode: those of all hosts in order, as a JSON list
EXPORTED = "SHARDYARD_EXPORTED"  # names that the user gave to mpirun with -x; they win over the host's values


@dataclass
class RankPlan:
    host: str
    code_dir: str
    program: str
    command: list[str]  # [] for a Python program, which runs inside the wrapper
    arguments: list[str]
    processes_per_host: int
    ranks_on_machine: int
    environment: dict[str, str]

    def save(self, folder: Path) -> None:
        path = folder / "rank-plan.json"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)


def find_run_dir(rank: int, environ: Mapping[str, str] = os.environ) -> Path:
    """In process mode all hosts share the machine, so the rank's number says which host it belongs to."""
    if environ.get(RUN_DIRS):
        folders = json.loads(environ[RUN_DIRS])
        per_host = load(Path(folders[0])).processes_per_host
        return Path(folders[min(rank // per_host, len(folders) - 1)])
    return Path(environ[RUN_DIR])


def load(folder: Path) -> RankPlan:
    return RankPlan(**json.loads((folder / "rank-plan.json").read_text("utf-8")))
