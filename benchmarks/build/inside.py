"""One case inside the testbed: alternates the sides, and prints the medians of the pairs' ratios as JSON."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3

from benchmarks.build.delay import slow_line
from tests.testbed.base import IMAGE
from tests.testbed.settings import REGION, SIGN_IN_USER, USER_ACCOUNT, ecr_host, password

HOST = ecr_host(USER_ACCOUNT)
SHARDYARD = str(Path(sys.executable).with_name("shardyard"))
DOCKERFILE = f"FROM {IMAGE}\nENV SAGEMAKER_PROGRAM=train.py SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code\nCOPY src /opt/ml/code\n"
TOML = f"""[image]
name = "bench"
device = "cpu"
base = "{IMAGE}"
source_dir = "src"
[registry]
region = "{REGION}"
account = "{USER_ACCOUNT}"
repository = "REPOSITORY"
"""


class Side:
    """One way from an edit to a pushed image, in a folder and a repository of its own."""

    def __init__(self, name: str, folder: Path, files: int) -> None:
        self.name, self.folder = name, folder / name
        repository = f"bench-{name}-{uuid.uuid4().hex[:8]}"
        boto3.client("ecr").create_repository(repositoryName=repository)
        (self.folder / "src").mkdir(parents=True)
        for number in range(files):
            data = random.Random(number).randbytes(6000)
            (self.folder / f"src/data-{number}.bin").write_bytes(data * 4)  # 24 kB: compresses, as code does
        (self.folder / "Dockerfile").write_text(DOCKERFILE)
        (self.folder / "shardyard.toml").write_text(TOML.replace("REPOSITORY", repository))
        tag = f"{HOST}/{repository}:latest"
        plain = ["sh", "-c", f"docker build -q -t {tag} . && docker push -q {tag}"]
        ours = [SHARDYARD, "build-and-push", "--engine", name]
        self.command = plain if name == "plain" else ours
        # An installed package comes with its byte code; a checkout's is written by the first run, not by each.
        self.environment = {
            **os.environ, "SHARDYARD_CACHE": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": ""
        }  # fmt: skip
        self.edit()

    def edit(self) -> None:
        (self.folder / "src/train.py").write_text(f"print({uuid.uuid4().hex!r})\n" * 20)

    def seconds(self) -> float:
        self.edit()
        started = time.monotonic()
        done = subprocess.run(
            self.command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        took = time.monotonic() - started
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        return took


def ratios(pairs: int, folder: Path, names: list[str], files: int = 1) -> dict[str, float]:
    """The median of each side's time over that of `docker build && docker push` beside it."""
    sides = {name: Side(name, folder, files) for name in ("plain", *names)}
    for side in sides.values():
        side.seconds()  # the base is there, the caches are warm
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(pairs):
        for name, side in sides.items():
            found[name].append(side.seconds())
    for name, times in found.items():
        low, *_, high = sorted(times)
        print(
            f"  {name:7} median {statistics.median(times):.2f} s, {low:.2f} to {high:.2f} s", file=sys.stderr
        )
    load = os.getloadavg()[0]
    print(f"  {pairs} pairs; load of the machine {load:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    return {
        name: statistics.median(a / b for a, b in zip(found[name], found["plain"], strict=True))
        for name in names
    }


def edit(folder: Path) -> dict[str, float]:
    found = ratios(15, folder, ["docker", "direct"])
    line = [sys.executable, "-c", "import shardyard.cli.main, shardyard.api.build_and_push"]
    return {
        "docker_ratio": found["docker"],
        "direct_ratio": found["direct"],
        "import_seconds": statistics.median(_timed(line) for _ in range(7)),
    }


def edit_50ms(folder: Path) -> dict[str, float]:
    with slow_line():
        return {"direct_ratio_50ms": ratios(9, folder, ["direct"])["direct"]}


def edit_47mb(folder: Path) -> dict[str, float]:
    return {"direct_ratio_47mb": ratios(7, folder, ["direct"], files=2000)["direct"]}


def cold(folder: Path) -> dict[str, float]:
    """The engine has no image and its registry no layer: the first run of each is what counts. Ours goes
    first: what it leaves in the registry lies in another repository, which does not help the other."""
    plain, direct = Side("plain", folder, 1), Side("direct", folder, 1)
    ours, theirs = direct.seconds(), plain.seconds()
    print(f"  plain {theirs:.1f} s, direct {ours:.1f} s; load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return {"cold_direct_ratio": ours / theirs}


def _timed(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - started


CASES: dict[str, Callable[[Path], dict[str, float]]] = {
    "edit": edit, "edit_50ms": edit_50ms, "edit_47mb": edit_47mb, "cold": cold,
}  # fmt: skip


def main(case: str) -> None:
    print(case, file=sys.stderr)
    login = ["docker", "login", "-u", SIGN_IN_USER, "--password-stdin"]
    for account in (USER_ACCOUNT, IMAGE.partition(".")[0]):
        subprocess.run(
            [*login, ecr_host(account)], input=password(account), text=True, check=True, capture_output=True
        )
    folder = Path(tempfile.mkdtemp(prefix="shardyard-bench-"))
    try:
        print(json.dumps(CASES[case](folder)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
