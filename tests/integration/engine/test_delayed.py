"""Delayed initialization under a real mpirun: no rank ever has the whole model, every value is that of an eager build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine.launch import mpirun


def test_delayed_initialization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")  # or glibc keeps freed tensors for the next ones
    done = mpirun(4, "tests.integration.engine.delayed_worker", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for line in ("never whole", "equal", "loaded", "converted"):
        assert done.stdout.count(f"{line} rank=") == 4
