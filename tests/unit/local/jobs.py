"""A local job, and a project, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shardyard.local.spec import InstanceGroup, JobSpec
from shardyard.project.load import load
from shardyard.project.model import Project

HOSTS = ("algo-1", "algo-2")


def job(source_dir: Path, **options: Any) -> JobSpec:
    given: dict[str, Any] = {
        "name": "j",
        "program": "train.py",
        "source_dir": source_dir,
        "groups": (InstanceGroup("homogeneousCluster", "ml.p4d.24xlarge", HOSTS),),
        "hyperparameters": {"lr": 0.1, "note": "it's $HOME"},
    }
    return JobSpec(**given | options)


def project(folder: Path, sections: str, image: str = 'device = "cpu"') -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text("")
    (folder / "shardyard.toml").write_text(f'[image]\nname = "p"\n{image}\n{sections}')
    return load(folder)
