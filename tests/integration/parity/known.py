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
# Of what a rank sees in a job with MPI, beside those above.
KNOWN_OF_RANKS = [
    Difference(
        "own-host",
        "environment/(SM_(CURRENT_HOST|RESOURCE_CONFIG)"
        "|SM_TRAINING_ENV/(current_host|is_master|resource_config/current_host))",
        lambda theirs, ours: "algo-1" in str(theirs) or theirs is True,
    ),
    Difference(
        "no-shim", "environment/LD_PRELOAD", lambda theirs, ours: "gethostname" in theirs and ours is None
    ),
    Difference("nccl", "environment/NCCL_(DEBUG|MIN_NRINGS)", lambda theirs, ours: theirs in ("INFO", "4")),
    Difference(
        "for-scripts",
        "environment/(MASTER_(ADDR|PORT)|OMP_NUM_THREADS|SHARDYARD_(LOCAL_RANK|RUN_DIR|EXPORTED))",
        lambda theirs, ours: theirs is None,
    ),
    Difference("script-file", "file", lambda theirs, ours: ours == f"/opt/ml/code/{theirs}"),
    Difference(
        "mpirun",
        "environment/(OMPI_(MCA_.*|ARGV|COMMAND|FILE_LOCATION|UNIVERSE_SIZE)|PMIX_.*|(DY)?LD_LIBRARY_PATH)",
        lambda theirs, ours: True,
    ),
    Difference("ssh", "environment/(SSH_.*|MAIL|MOTD_SHOWN)", lambda theirs, ours: True),
]
# Differences of whole runs: a tree names the one that it is made to show.
WHOLE = {"submitted-wins", "submit-variable", "defaults", "unsettable"}


def explain(place: str, pair: Pair) -> str | None:
    for known in KNOWN:
        if re.fullmatch(known.place, place) and None not in pair[1:] and known.holds(*pair):
            return known.name
    return None


def explain_rank(place: str, pair: Pair) -> str | None:
    for known in KNOWN_OF_RANKS:
        if re.fullmatch(known.place, place) and known.holds(*pair):
            return known.name
    return explain(place, pair)


def documented(section: str = "Differences from sagemaker-training") -> set[str]:
    """Names in a table of docs/launcher.md."""
    text = Path(REPOSITORY / "docs" / "launcher.md").read_text()
    table = text.split(f"## {section}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
