"""What a user's script sees, written down by the script itself; and how two of them are compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.integration.parity.tree import Result

CHECKOUT = str(Path(__file__).parents[3])
REPORT = """
import json, os, sys, tempfile
if __name__ == "__main__":
    seen = {"arguments": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "name": __name__,
            "file": __file__, "first on the path": sys.path[0],
            "places on the path": list(dict.fromkeys(p for p in sys.path if p.startswith(tempfile.gettempdir()) and not p.startswith(sys.prefix))), "folder of the code": sorted(os.listdir("."))}
    with open(os.path.join(os.environ["SM_INPUT_DIR"], "..", "seen.json"), "w") as file:
        json.dump(seen, file)
"""
SHELL = """#!/bin/sh
{ printf '%s\\0' "$0" "$@"; } > "$SM_INPUT_DIR/../words"
env -0 > "$SM_INPUT_DIR/../variables"
pwd > "$SM_INPUT_DIR/../folder"
"""
# Made by the machine, the shell or the harness, not by a launcher.
NOISE = {"_", "PWD", "OLDPWD", "SHLVL", "SAGEMAKER_BASE_DIR", "LC_CTYPE"}


def seen(result: Result) -> dict[str, Any]:
    """With the base folder's place taken out, so that two copies of a tree can be compared."""
    found = observed(result.base)
    return {
        **found,
        "files": _files(result.base),
        "succeeded": result.succeeded,
        "exit code": result.exit_code,
    }


def observed(base: Path, suffix: str = "") -> dict[str, Any]:
    """What the script wrote down; `suffix` tells the reports of several ranks apart."""
    found: dict[str, Any] = {}
    words = base / f"words{suffix}"
    if (base / f"seen{suffix}.json").exists():
        found = json.loads((base / f"seen{suffix}.json").read_text())
    elif words.exists():
        pairs = [item.partition("=") for item in _words(base / f"variables{suffix}")]
        found = {
            "arguments": _words(words),
            "environment": {name: value for name, _, value in pairs},
            "folder": (base / f"folder{suffix}").read_text().strip(),
        }
    found = json.loads(json.dumps(found).replace(json.dumps(str(base))[1:-1], "/opt/ml"))
    # A checkout may itself be among the temporary folders.
    found["places on the path"] = [
        p for p in found.get("places on the path", []) if not p.startswith(CHECKOUT)
    ]
    environment = found.get("environment", {})
    for name in NOISE & set(environment):
        del environment[name]
    if "SM_TRAINING_ENV" in environment:
        environment["SM_TRAINING_ENV"] = json.loads(environment["SM_TRAINING_ENV"])
    return found


def differences(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two of them differ: path of the place -> both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted({*one, *other}):
            found |= differences(one.get(key), other.get(key), f"{path}/{key}" if path else key)
        return found
    return {} if repr(one) == repr(other) else {path: (one, other)}  # NaN differs from itself


def _words(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", errors="surrogateescape").split("\0")[:-1]


def _files(base: Path) -> dict[str, str]:
    own = {"seen.json", "words", "variables", "folder"}
    return {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(base.rglob("*"))
        if path.is_file() and path.name not in own and path.parent.name != "config" and path.name != "failure"
    }
