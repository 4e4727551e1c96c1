"""The trace before partitioning, under a real mpirun: 2 partitions × 2 replicas."""

from __future__ import annotations

from pathlib import Path

from tests.integration.engine.launch import mpirun


def test_trace(tmp_path: Path) -> None:
    done = mpirun(4, "tests.integration.engine.trace_worker", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("traced rank=") == 4
    assert done.stderr.count("partition  modules") == 6  # once a model
    assert "partitioned by parameter counts: ZeroDivisionError: not while tracing" in done.stderr
