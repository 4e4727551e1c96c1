"""How long hosts wait for each other, and how long ranks may take to stop."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

HOST_TIMEOUT = 60.0
STOP_GRACE = 110.0  # the platform gives a stopped container 120 s, then kills it
UPLOAD_TIMEOUT = 60.0


def host_timeout(environ: Mapping[str, str] = os.environ) -> float:
    """For a host to arrive, and for the longest silence of one that has arrived."""
    return _seconds(environ.get("SHARDYARD_HOST_TIMEOUT"), HOST_TIMEOUT)


def stop_grace(environ: Mapping[str, str] = os.environ) -> float:
    """From the SIGTERM that ranks are sent to their end by SIGKILL."""
    return _seconds(environ.get("SHARDYARD_STOP_GRACE"), STOP_GRACE)


def upload_timeout(environ: Mapping[str, str] = os.environ) -> float:
    """At the end of the job, for S3 to take another piece of the intermediate output."""
    return _seconds(environ.get("SHARDYARD_UPLOAD_TIMEOUT"), UPLOAD_TIMEOUT)


def _seconds(text: str | None, default: float) -> float:
    try:
        value = float(text or default)
    except ValueError:
        return default
    return value if math.isfinite(value) and value > 0 else default
