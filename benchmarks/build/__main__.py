"""`python -m benchmarks.build`: a testbed of the benchmark's own, then each case in it.

Its own, because the cold case empties the Docker engine, and because the slow line is slow for all who use it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.testbed import requirements, settings

ROOT = Path(__file__).resolve().parents[2]
CASES = ("edit", "edit_50ms", "edit_47mb", "cold")


def main(chosen: list[str]) -> int:
    reason = requirements.reason_against()
    if reason:
        print(reason, file=sys.stderr)
        return 3
    shared = settings.load()
    own = settings.Settings(shared.cache / "bench")
    env = {**os.environ, "SHARDYARD_CACHE": str(own.cache), "PYTHONPATH": str(ROOT)}
    testbed = [sys.executable, "-m", "tests.testbed"]
    seed(shared, own)
    figures: dict[str, float] = {}
    try:
        for case in chosen or CASES:
            repeats = 3 if case == "cold" else 1
            found: list[dict[str, float]] = []
            for _ in range(repeats):
                if case == "cold":
                    subprocess.run([*testbed, "down"], env=env, check=True)
                    shutil.rmtree(own.folder / "docker", ignore_errors=True)
                    shutil.rmtree(own.folder / "registries" / settings.USER_ACCOUNT, ignore_errors=True)
                line = [*testbed, "exec", "--", sys.executable, "-m", "benchmarks.build.inside", case]
                done = subprocess.run(line, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
            for key in found[0]:
                figures[key] = sorted(one[key] for one in found)[len(found) // 2]
    finally:
        subprocess.run([*testbed, "down"], env=env)
    print(json.dumps({"bench": "build", **{key: round(value, 3) for key, value in figures.items()}}))
    return 0


def seed(shared: settings.Settings, own: settings.Settings) -> None:
    """The stand-in base from the shared testbed, where it was made already: minutes less."""
    stamps = shared.folder / "bases"
    if (own.folder / "bases").exists() or not stamps.exists():
        return
    own.make_folders()
    account = Path("registries") / settings.BASE_ACCOUNT
    shutil.copytree(shared.folder / account, own.folder / account, dirs_exist_ok=True)
    shutil.copytree(stamps, own.folder / "bases")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
