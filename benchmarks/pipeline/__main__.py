"""``make bench-pipeline``: two ranks with one thread each, steps of ours and of the peer alternately."""

from __future__ import annotations

import json
import sys

from tests.integration.engine.launch import mpirun

PIPELINES = (
    {"pipeline": "interleaved", "active_microbatches": 2},
    {"pipeline": "interleaved", "active_microbatches": 4},
    {"pipeline": "simple"},
)


ALONE = {"benchmarks.pipeline.single": 1, "benchmarks.pipeline.calls": 2}  # worker -> ranks


def main() -> int:
    best: dict[str, float] = {}
    alone: dict[str, float] = {}
    for worker, ranks in ALONE.items():
        done = mpirun(ranks, worker, timeout=300)
        if done.returncode != 0:
            print(done.stdout, done.stderr, file=sys.stderr)
            return 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
        print(line, flush=True)
        alone |= json.loads(line)
    for parameters in PIPELINES:
        done = mpirun(2, "benchmarks.pipeline.worker", json.dumps(parameters), timeout=480)
        if done.returncode != 0:
            print(done.stdout, done.stderr, file=sys.stderr)
            return 1
        line = next(line for line in done.stdout.splitlines() if line.startswith('{"parameters"'))
        print(line, flush=True)
        found = json.loads(line)
        if found["median"] > best.get("ratio_vs_torch_1f1b", 0):
            best = {"ratio_vs_torch_1f1b": found["median"], "ratio_vs_torch_gpipe": found["median_gpipe"]}
    print(json.dumps({"bench": "pipeline", **best, **alone}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
