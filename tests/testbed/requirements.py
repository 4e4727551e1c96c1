"""What the machine must have, and what to type where it has not."""

from __future__ import annotations

import os
import platform
import shutil

PROGRAMS = ("dockerd", "docker-registry", "htpasswd", "iptables", "ip", "unshare", "nsenter", "setpriv")


class Missing(Exception):
    """Something is missing on this machine; the message says what to type."""


def reason_against() -> str | None:
    """Why the testbed cannot run here, or None."""
    if platform.system() != "Linux":
        return "the testbed needs Linux (namespaces, a Docker engine)"
    if os.geteuid() != 0:
        return "the testbed needs root (namespaces, a Docker engine): run it with sudo"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}. Type: bash scripts/setup-testbed.sh"
    return None


def check() -> None:
    reason = reason_against()
    if reason:
        raise Missing(reason)
