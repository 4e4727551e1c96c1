"""The console script."""

from __future__ import annotations

import gc
import sys


def app() -> None:
    """Starts and ends quickly: most of what an import makes stays for good, and looking through it for garbage, at
    every few hundred objects and once more at the end, takes a fifth of a short command's time."""
    gc.set_threshold(100_000, 50, 50)
    from shardyard.cli.main import main

    code = main()
    gc.freeze()
    sys.exit(code)
