"""``make bench-pipeline``: two ranks with one thread each, steps of ours and of the peer alternately."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.engine.launch import mpirun

PIPELINES = (
    {"pipeline": "interleaved", "active_microbatches": 4},
    {"pipeline": "simple"},
)
ALONE = {"benchmarks.pipeline.single": 1, "benchmarks.pipeline.calls": 2}  # worker -> ranks


def measured(ranks: int, worker: str, *args: str) -> dict[str, Any]:
    """The worker's figures, which it prints as one JSON line. Raises RuntimeError with what it said when it fails."""
    done = mpirun(ranks, worker, *args, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    print(line, flush=True)
    found: dict[str, Any] = json.loads(line)
    return found


def main() -> None:
    alone: dict[str, Any] = {}
    for worker, ranks in ALONE.items():
        alone |= measured(ranks, worker)
    sides = [measured(2, "benchmarks.pipeline.worker", json.dumps(one))["medians"] for one in PIPELINES]
    best = max(sides, key=lambda medians: medians["1f1b"])
    figures = {
        "ratio_vs_torch_1f1b": best["1f1b"],
        "ratio_vs_torch_best": max(min(medians.values()) for medians in sides),
    }
    print(json.dumps({"bench": "pipeline", **figures, **alone}))


if __name__ == "__main__":
    main()
