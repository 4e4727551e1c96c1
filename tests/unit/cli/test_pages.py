"""docs/commands/ holds what the commands' definitions say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_page_is_what_its_command_says() -> None:
    line = [sys.executable, str(ROOT / "scripts/command_pages.py"), "--check"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"make docs: these pages differ:\n{done.stdout}{done.stderr}"
