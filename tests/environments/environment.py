"""Virtual environments for tests against old releases of client libraries: made once, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def python(name: str) -> Path:
    """The interpreter of the environment with what ``<name>.txt`` beside this file requires.

    It lies under ``$SHARDYARD_CACHE`` (default ``~/.cache/shardyard``), and is made at first use.
    """
    requirements = HERE / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("SHARDYARD_CACHE") or "~/.cache/shardyard").expanduser()
    folder = cache / "envs" / f"{name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    ready, interpreter = folder / ".ready", folder / "bin" / "python"
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when this process ends, however it ends
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what an install that was cut off left
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(requirements)])
            partial = folder / ".ready.partial"
            partial.write_text(requirements.read_text())
            partial.replace(ready)
    return interpreter


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
