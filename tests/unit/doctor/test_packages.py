"""What `--fix` installs lands in the environment that runs, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.unit.engines.test_direct_requirements import wheel

SCRIPT = """
import importlib.util, sys
from shardyard.doctor import packages
hidden = sys.argv[1]
packages.find_spec = lambda name: None if name == hidden else importlib.util.find_spec(name)
print(packages.install(("alpha",)))
"""


@pytest.mark.parametrize("hidden", ["uv", "pip"])
def test_a_package_goes_into_the_active_environment(tmp_path: Path, hidden: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    place = next((tmp_path / "env/lib").glob("python*/site-packages"))
    (place / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")  # shardyard and its tools, to read
    wheel(tmp_path / "house", "alpha", "1.0")
    offline = {
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "house"), "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(tmp_path / "house"), "PYTHONPATH": os.pathsep.join(one for one in sys.path if one),
    }  # fmt: skip
    line = [str(tmp_path / "env/bin/python"), "-c", SCRIPT, hidden]
    done = subprocess.run(line, env={**os.environ, **offline}, capture_output=True, text=True, timeout=120)
    assert "Repair(done=True, said='did: pip install alpha')" in done.stdout, done.stderr
    assert (place / "alpha/__init__.py").is_file()
    assert not (Path(sysconfig.get_path("purelib")) / "alpha").exists()
