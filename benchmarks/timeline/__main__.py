"""``make bench-timeline``: what recording costs a step of 20 ms tasks, on two ranks; steps with and without, alternately."""

from __future__ import annotations

import json
import sys

from tests.integration.engine.launch import mpirun


def main() -> int:
    done = mpirun(2, "benchmarks.timeline.worker", timeout=900)
    if done.returncode != 0:
        print(done.stdout, done.stderr, file=sys.stderr)
        return 1
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    print(json.dumps({"bench": "timeline", **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
