"""One host's `/opt/ml` under a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath

from shardyard.local import contract
from shardyard.local.spec import JobSpec

ROOT = PurePosixPath("/opt/ml")
DATA = ROOT / "input" / "data"
IGNORED = ("__pycache__", ".git", ".venv", "venv", ".mypy_cache", ".pytest_cache", "*.pyc")


def written_by_user(job: JobSpec) -> dict[str, PurePosixPath]:
    """What is collected at the end: its name in the output, and where the container has it. Checkpoints in a
    folder of the caller's are there already."""
    own = {} if job.checkpoints else {"checkpoints": job.checkpoint_path}
    return {"model": ROOT / "model", "output": ROOT / "output", **own}


def write(
    base: Path, job: JobSpec, host: str, submit_directory: str, interface: str = contract.INTERFACE
) -> None:
    """The tree and the three configuration files; channels and code are the engines' business."""
    for folder in ("input/config", "input/data", "model", "output/data"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    documents = {
        "hyperparameters": contract.hyperparameters(job, submit_directory),
        "resourceconfig": contract.resource_config(job, host, interface),
        "inputdataconfig": contract.input_data_config(job),
    }
    for name, value in documents.items():
        (base / "input/config" / f"{name}.json").write_text(json.dumps(value, indent=1), encoding="utf-8")


def places(job: JobSpec) -> dict[PurePosixPath, Path]:
    """Where in the container each input of this machine is seen: a file is alone in its channel's folder."""
    return {
        DATA / name / path.name if path.is_file() else DATA / name: path for name, path in job.inputs.items()
    }


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
