"""What the SDK v2 refuses although the training program takes it, and the way past the refusal.

The SDK sends `distribution["smdistributed"]["modelparallel"]["parameters"]` as the hyperparameter
`mp_parameters`. A hyperparameter of that name that the user gives arrives as the same string, unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PLACEMENTS = ("cluster", "spread")  # the documented permutations, "DPT" and so on, fail its check
REFUSED_TYPE = "p5.48xlarge"  # with any smdistributed block: true of the original library, not of ours


def refused(parameters: Mapping[str, Any]) -> bool:
    """Whether the SDK's check fails on parameters that are right."""
    if parameters.get("placement_strategy", PLACEMENTS[0]) not in PLACEMENTS:
        return True
    return "default_partition" in parameters and "partitions" not in parameters  # it knows one of the names


def past_refusals(
    distribution: dict[str, Any], instance_types: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ``distribution`` argument, and the hyperparameters that stand for what was taken out of it."""
    smdistributed = distribution.get("smdistributed") or {}
    block = smdistributed.get("modelparallel") or {}
    parameters = block.get("parameters") or {} if block.get("enabled") else {}
    refused_type = any(REFUSED_TYPE in one for one in instance_types)
    if not block or not (refused_type or refused(parameters)):
        return distribution, {}
    rest = {key: value for key, value in distribution.items() if key != "smdistributed"}
    return rest, {"mp_parameters": parameters} if parameters else {}
