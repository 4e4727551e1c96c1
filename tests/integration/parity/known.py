"""The differences that are meant. docs/launcher.md lists the same names, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.parity.tree import REPOSITORY

Pair = tuple[Any, Any]  # what the incumbent's script sees, what ours sees


@dataclass(frozen=True)
class Difference:
    name: str
    place: str  # a pattern of the whole path
    holds: Callable[[Any, Any], bool]


def _same_code_first(theirs: str | None, ours: str) -> bool:
    return theirs is not None and theirs.split(":")[0] == ours.split(":")[0] == "/opt/ml/code"


def _without_end_quotes(theirs: list[str] | None, ours: list[str]) -> bool:
    return theirs is not None and theirs[:-1] == ours[:-1] and theirs[-1] == ours[-1].strip('"')


KNOWN = [
    Difference("python-path", "environment/PYTHONPATH", _same_code_first),
    Difference(
        "modelparallel-known",
        "environment/SM_TRAINING_ENV/is_modelparallel_enabled",
        lambda theirs, ours: theirs is None and isinstance(ours, bool),
    ),
    Difference("last-quotes", "arguments", _without_end_quotes),
    Difference(
        "kept-variables",
        "environment/SAGEMAKER_(REGION|JOB_NAME)",
        lambda theirs, ours: theirs == "" and ours != "",
    ),
    Difference(
        "log-level",
        "environment/SM_LOG_LEVEL|environment/SM_TRAINING_ENV/log_level",
        lambda theirs, ours: str(theirs) == "20",
    ),
    Difference("exit-code", "exit code", lambda theirs, ours: theirs == 1 and ours not in (0, 1)),
    Difference(
        "python-false",
        "environment/SM_DISTRIBUTION_INSTANCE_GROUPS"
        "|environment/SM_TRAINING_ENV/distribution_(instance_groups|hosts)",
        lambda theirs, ours: bool(theirs) and ours in ("[]", []),
    ),
]
# Differences of whole runs: a tree names the one that it is made to show.
WHOLE = {"submitted-wins", "submit-variable", "defaults", "unsettable"}


def explain(place: str, pair: Pair) -> str | None:
    for known in KNOWN:
        if re.fullmatch(known.place, place) and None not in pair[1:] and known.holds(*pair):
            return known.name
    return None


def documented() -> set[str]:
    """Names in the table of docs/launcher.md."""
    text = Path(REPOSITORY / "docs" / "launcher.md").read_text()
    table = text.split("## Differences from sagemaker-training")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
