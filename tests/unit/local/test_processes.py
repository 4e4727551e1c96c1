from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardyard.errors import MissingError
from shardyard.local.processes import MARK, sweep, with_mpirun


def test_no_mpirun_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingError, match=r"pip install 'shardyard\[process\]'"):
        with_mpirun({"PATH": str(tmp_path)})


def test_the_mpirun_beside_python_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mpirun").write_text("#!/bin/sh\n")
    (tmp_path / "mpirun").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert with_mpirun({"PATH": "/nowhere"})["PATH"] == f"{tmp_path}:/nowhere"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_sweep_ends_what_bears_the_mark() -> None:
    env = {**os.environ, MARK: "unit-test-mark"}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env)
    try:
        while not Path(f"/proc/{child.pid}/environ").read_bytes():
            pass
        assert sweep("unit-test-mark") == [child.pid]
        assert child.wait(5) == -9
    finally:
        child.kill()
