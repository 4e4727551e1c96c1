"""What changed in a Dockerfile."""

from __future__ import annotations

import difflib

NOTHING = "/dev/null"  # the name that diff gives to a file that is not there


def difference(before: str | None, now: str) -> str:
    """A unified diff, empty where nothing changed; without a Dockerfile before, all of it is new."""
    name = "last build" if before is not None else NOTHING
    lines = difflib.unified_diff(
        (before or "").splitlines(), now.splitlines(), name, "Dockerfile", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
