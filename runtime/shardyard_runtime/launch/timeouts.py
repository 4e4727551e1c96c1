"""How long hosts wait for each other, and how long ranks may take to stop."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from .errors import LaunchError

HOST_TIMEOUT = 60.0
STOP_GRACE = 110.0  # the platform gives a stopped container 120 s, then kills it
UPLOAD_TIMEOUT = 60.0
NAMES = ("SHARDYARD_HOST_TIMEOUT", "SHARDYARD_STOP_GRACE", "SHARDYARD_UPLOAD_TIMEOUT")


def check(environ: Mapping[str, str]) -> None:
    """Asked once, at the start; the functions below may then take what is there.

    Raises:
        LaunchError: for values that are no time, all of them named.
    """
    wrong = [name for name in NAMES if environ.get(name) and _read(environ[name]) is None]
    if wrong:
        named = " and ".join(f"{name} is {environ[name]!r}" for name in wrong)
        raise LaunchError(f"{named}. It must be a number of seconds above 0, such as 60.")


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
    return _read(text or "") or default


def _read(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
