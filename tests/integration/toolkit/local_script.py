"""The script of the local jobs in test_run_docker.py: tells what it finds, then ends as its mode says."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import signal
import sys
import time
from typing import Any

BASE = pathlib.Path("/opt/ml")
HOST = os.environ["SM_CURRENT_HOST"]


def facts(given: argparse.Namespace) -> dict[str, Any]:
    shm = os.statvfs("/dev/shm")
    data = BASE / "input/data"
    return {
        "host": HOST,
        "hostname": os.uname().nodename,
        "shm": shm.f_blocks * shm.f_frsize,
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "files": {
            str(file.relative_to(data)): file.read_text() for file in data.rglob("*") if file.is_file()
        },
        "read_only": [one.name for one in data.iterdir() if one.name != "one" and not writable(one)],
        "odd": given.odd,
        "environment": {name: os.environ.get(name) for name in ("ODD", "EMPTY", "AWS_ACCESS_KEY_ID")},
        "resources": json.loads((BASE / "input/config/resourceconfig.json").read_text()),
        "interfaces": os.listdir("/sys/class/net"),
        "channels": os.environ["SM_CHANNELS"],
        "checkpoints": sorted(one.name for one in (BASE / "kept").glob("*")),
    }


def writable(folder: pathlib.Path) -> bool:
    try:
        (folder / "new").touch()
    except OSError:
        return False
    return True


def stop(number: int, frame: object) -> None:
    (BASE / "model/last").write_text(HOST)
    print("saved on SIGTERM", flush=True)
    sys.exit(0)


parser = argparse.ArgumentParser()
parser.add_argument("--mode")
parser.add_argument("--odd")
given, _ = parser.parse_known_args()
(BASE / "model/weights").write_text(HOST)
(BASE / "output/data" / HOST).write_text("data")
if given.mode == "look":
    print("FACTS " + json.dumps(facts(given)), flush=True)
    folder = BASE / "kept" / f"{HOST}-{len(list((BASE / 'kept').glob('*')))}"
    folder.mkdir(parents=True)
    (folder / "state").write_text("x")
elif given.mode == "burst" and HOST == "algo-2":
    sys.stdout.buffer.write(b"\xff\xfe binary \x00 end\n" + b"w" * 300_000 + b"\n")
    sys.stdout.buffer.write(b"".join(b"line %d\n" % i for i in range(500)) + b"no newline at the end")
    sys.stdout.flush()
    sys.exit(23)
elif given.mode == "save":
    signal.signal(signal.SIGTERM, stop)
    (BASE / "kept/state").write_text(HOST)  # the folder is there, as on SageMaker
    print("waiting", flush=True)
    time.sleep(600)
elif given.mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("waiting", flush=True)
    time.sleep(600)
