"""What the stand-in base is made of: a Debian root file system and wheels, fetched outside."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.testbed.requirements import Missing
from tests.testbed.settings import Settings

DEBIAN = "shardyard-testbed/debian:bookworm"
SUITE = "bookworm"
PACKAGES = [
    "ca-certificates",
    "openmpi-bin",
    "openssh-client",
    "openssh-server",
    "procps",
    "python3",
    "python3-venv",
]
WHEELS = ["torch==2.13.0", "numpy", "scikit-learn", "mpi4py"]
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")


def rootfs(settings: Settings) -> Path:
    recipe = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    return settings.cache / f"debian-{SUITE}-{recipe}.tar"


def wheels(settings: Settings) -> Path:
    return settings.cache / "wheels"


def ensure_rootfs(settings: Settings) -> None:
    target = rootfs(settings)
    if target.exists():
        return
    if shutil.which("mmdebstrap") is None:
        raise Missing("not installed: mmdebstrap. Type: bash scripts/setup-testbed.sh")
    print("making a Debian root file system (once, about a minute)", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".half.tar")
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    command += ['--aptopt=APT::Install-Recommends "false"', "--quiet", SUITE, str(half)]
    _run(command, settings.logs / "mmdebstrap.log")
    os.replace(half, target)


def ensure_wheels(settings: Settings) -> None:
    folder = wheels(settings)
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / "complete.txt"
    wanted = "\n".join(WHEELS) + "\n"
    if listing.exists() and listing.read_text() == wanted:
        return
    print("downloading the wheels of the stand-in base (once)", file=sys.stderr)
    _run([sys.executable, "-m", "pip", "download", "-d", str(folder), *WHEELS], settings.logs / "wheels.log")
    listing.write_text(wanted)


def _run(command: list[str], log: Path) -> None:
    with open(log, "wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        text = log.read_text(errors="replace")[-1500:]
        raise Missing(f"`{command[0]} ...` failed ({code}); is there a network? {log} ends:\n{text}")
