"""``make bench-transport``: what the communication thread costs, and how soon messages arrive; two ranks of one host."""

from __future__ import annotations

import json
import sys

from tests.integration.engine.launch import mpirun

FLAGS = {
    "default": ["--mca", "btl_vader_single_copy_mechanism", "none"],
    "tcp": ["--mca", "btl", "tcp,self"],
}


def main() -> int:
    found: dict[str, float] = {}
    for name, options in FLAGS.items():
        done = mpirun(2, "benchmarks.transport.worker", options=options, timeout=300)
        if done.returncode != 0:
            print(done.stdout, done.stderr, file=sys.stderr)
            return 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
        print(f"{name} {line}", flush=True)
        found |= {f"{key}_{name}": value for key, value in json.loads(line).items()}
    print(json.dumps({"bench": "transport", **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
