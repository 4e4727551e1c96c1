"""The parallel run equals the serial one: losses, gradients, parameters, buffers, evaluation, in every case."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.engine import matrix
from tests.integration.engine.launch import mpirun

CASES = (
    "chain skips tied keyword Branches Callback Control Norm Loop Input autocast dropout "
    "straight in_place looked_at foreign frozen indexed"
).split()


def check(
    replicas: int,
    rows: list[matrix.Row],
    folder: Path,
    timeout: float,
    interpreter: Path = Path(sys.executable),
) -> None:
    """Runs the rows of this many replicas, those with one partition first: the others compare draws with theirs."""
    for partitions in matrix.PARTITIONS:
        placement = "spread" if partitions % 2 else "cluster"
        mine = [
            {**row, "placement": placement}
            for row in rows
            if (row["partitions"], row["replicas"]) == (partitions, replicas)
        ]
        ranks = partitions * replicas
        done = mpirun(
            ranks,
            "tests.integration.engine.matrix_worker",
            str(folder),
            json.dumps(mine),
            timeout=timeout,
            interpreter=interpreter,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        lines = [line for line in done.stdout.splitlines() if line.startswith("equal rank=")]
        assert len(lines) == ranks * len(mine)
        for case in CASES[: 12 if partitions == 1 else None]:
            assert all(case in line for line in lines), case
        assert done.stdout.count("loaded rank=") == ranks


@pytest.mark.parametrize("replicas", matrix.REPLICAS)
def test_parallel_equals_serial(replicas: int, tmp_path: Path) -> None:
    check(replicas, matrix.pairwise(), tmp_path, timeout=400)
