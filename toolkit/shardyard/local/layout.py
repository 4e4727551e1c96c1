"""One host's `/opt/ml` under a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from shardyard.local import contract
from shardyard.local.spec import JobSpec

WRITTEN_BY_USER = ("model", "output", "checkpoints")
IGNORED = ("__pycache__", ".git", ".venv", "venv", ".mypy_cache", ".pytest_cache", "*.pyc")


def write(
    base: Path, job: JobSpec, host: str, submit_directory: str, interface: str = contract.INTERFACE
) -> None:
    """The tree and the three configuration files; channels and code are the engines' business."""
    for folder in ("input/config", "input/data", "model", "output/data", "checkpoints"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    documents = {
        "hyperparameters": contract.hyperparameters(job, submit_directory),
        "resourceconfig": contract.resource_config(job, host, interface),
        "inputdataconfig": contract.input_data_config(job),
    }
    for name, value in documents.items():
        (base / "input/config" / f"{name}.json").write_text(json.dumps(value, indent=1), encoding="utf-8")


def link_channels(base: Path, job: JobSpec) -> None:
    for name, path in job.inputs.items():
        (base / "input/data" / name).symlink_to(path)


def copy_code(base: Path, job: JobSpec, keep_out: tuple[Path, ...] = ()) -> None:
    """The user's code as `<base>/code`, without caches and without the folders that the job itself writes."""
    away = {path.resolve() for path in keep_out}

    def ignore(folder: str, names: list[str]) -> set[str]:
        here = Path(folder)
        return set(shutil.ignore_patterns(*IGNORED)(folder, names)) | {
            name for name in names if (here / name).resolve() in away
        }

    shutil.copytree(
        job.source_dir, base / "code", ignore=ignore, dirs_exist_ok=True, ignore_dangling_symlinks=True
    )


def failure_text(base: Path) -> str | None:
    """The failure file of a host, None when it wrote none."""
    file = base / "output" / "failure"
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else None
    except OSError:
        return None
