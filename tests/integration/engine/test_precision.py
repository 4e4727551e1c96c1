"""Training in float16 and bfloat16: partitioned equals not partitioned, masters are float32, an overflow is everyone's."""

from __future__ import annotations

from pathlib import Path

from tests.integration.engine.launch import mpirun

WORKER = "tests.integration.engine.precision_worker"


def test_16_bits_with_2_partitions_and_2_replicas(tmp_path: Path) -> None:
    for ranks, partitions in ((2, 1), (4, 2)):
        done = mpirun(ranks, WORKER, str(partitions), str(tmp_path))
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        for precision in ("fp16", "bf16"):
            assert done.stdout.count(f"trained {precision} ") == ranks
    for case in ("skipped", "scheduled", "uneven", "scaled", "buffers", "whole"):
        assert done.stdout.count(f"{case} ") == 4
    for case in ("fp16 partial=True", "fp16 partial=False", "bf16 partial=True", "bf16 partial=False"):
        assert done.stdout.count(f"resumed {case} ") == 4
