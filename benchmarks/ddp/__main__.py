"""``make bench-ddp``: one partition, two replicas with one thread each, beside torch's DistributedDataParallel."""

from __future__ import annotations

import json
import sys

from tests.integration.engine.launch import mpirun

MICROBATCHES = (1, 4)


def main() -> int:
    found = {}
    for microbatches in MICROBATCHES:
        done = mpirun(2, "benchmarks.ddp.worker", str(microbatches), timeout=480)
        if done.returncode != 0:
            print(done.stdout, done.stderr, file=sys.stderr)
            return 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
        print(line, flush=True)
        found[microbatches] = json.loads(line)["ratio_vs_torch_ddp"]
    worst = min(found.values())
    each = {f"ratio_{count}_microbatches": ratio for count, ratio in found.items()}
    print(json.dumps({"bench": "ddp", "ratio_vs_torch_ddp": worst, **each}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
