from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from job import Job


@pytest.fixture
def new_job(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    jobs: list[Job] = []

    def make(script: str, **options: object) -> Job:
        jobs.append(Job(tmp_path, script, **options))  # type: ignore[arg-type]
        return jobs[-1]

    yield make
    for job in jobs:
        job.kill()
