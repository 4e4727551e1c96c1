"""How soon the user's script runs, and how soon all is over: our launcher and sagemaker-training in one image."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable

import docker

from benchmarks.launch import image
from benchmarks.launch.measure import INCUMBENT, OURS, Timing, run
from tests.testbed import base, lifecycle, requirements
from tests.testbed.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument(
        "--ends", type=int, default=3, help="incumbent's runs followed to their end (a minute each)"
    )
    parser.add_argument(
        "--many", type=int, default=5, help="pairs of 16 hosts and 2 hosts with one process each"
    )
    options = parser.parse_args()
    requirements.check()
    where = load()
    where.make_folders()
    base.prepare(where)
    with lifecycle.attached(where) as pid:
        base.ensure(where, pid)
        client = docker.DockerClient(base_url=where.docker_host, timeout=300, max_pool_size=64)
        print(json.dumps(measure(client, image.build(client, where), options)))
    return 0


def measure(client: docker.DockerClient, tag: str, options: argparse.Namespace) -> dict[str, object]:
    ours, theirs = [], []
    for number in range(options.pairs):
        ours.append(run(client, tag, OURS, 2, 2, True))
        theirs.append(run(client, tag, INCUMBENT, 2, 2, number < options.ends))
        _tell(f"pair {number + 1}: ours {_text(ours[-1])}, incumbent {_text(theirs[-1])}")
    two, sixteen = [], []
    for number in range(options.many):
        two.append(run(client, tag, OURS, 2, 1, True))
        sixteen.append(run(client, tag, OURS, 16, 1, True))
        _tell(f"hosts {number + 1}: two {_text(two[-1])}, sixteen {_text(sixteen[-1])}")
    ratios = sorted(a.start / b.start for a, b in zip(ours, theirs, strict=True))
    return {
        "bench": "launch",
        "start_ratio": round(statistics.median(ratios), 3),
        "start_ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "start_seconds": _median(one.start for one in ours),
        "end_seconds": _median(one.end for one in ours),
        "incumbent_start_seconds": _median(one.start for one in theirs),
        "incumbent_end_seconds": _median(one.end for one in theirs),
        "start_2_hosts_seconds": _median(one.start for one in two),
        "start_16_hosts_seconds": _median(one.start for one in sixteen),
        "start_16_over_2": _median(b.start / a.start for a, b in zip(two, sixteen, strict=True)),
        "end_16_hosts_seconds": _median(one.end for one in sixteen),
    }


def _median(values: Iterable[float]) -> float | None:
    found = [value for value in values if not math.isnan(value)]
    return round(statistics.median(found), 3) if found else None


def _text(timing: Timing) -> str:
    return f"start {timing.start:.2f} s, end {timing.end:.2f} s"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
