"""What public scripts rely on that the library's documentation does not say, under a real mpirun."""

from __future__ import annotations

from pathlib import Path

from tests.integration.engine.launch import mpirun


def test_what_scripts_rely_on(tmp_path: Path) -> None:
    done = mpirun(4, "tests.integration.engine.clients_worker", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count("clients rank=") == 4
