"""Where the job that we ask for differs from the SDK's on purpose: the field, for which projects, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MISSING = "(not sent)"


@dataclass(frozen=True)
class Difference:
    """``holds`` is given the SDK's value and ours, either of them MISSING; ``projects`` empty: any of them."""

    field: str
    why: str
    holds: Callable[[Any, Any], bool]
    projects: tuple[str, ...] = ()


def _by_digest(sdk: str, ours: str) -> bool:
    return ours == sdk or ours.startswith(f"{sdk.rpartition(':')[0]}@sha256:")


def _two_moments(sdk: str, ours: str) -> bool:
    stamp = len("-2026-01-01-00-00-00-000")
    return sdk[:-stamp] == ours[:-stamp]


LIST = (
    Difference("TrainingJobName", "the same name but for the time of submission", _two_moments),
    Difference(
        "HyperParameters.sagemaker_submit_directory",
        "the image holds the code that was tested with it, so nothing is uploaded",
        lambda sdk, ours: sdk.endswith('/source/sourcedir.tar.gz"') and ours == '"/opt/ml/code"',
    ),
    Difference(
        "AlgorithmSpecification.TrainingImage",
        "by digest where ECR knows it: a tag that moves while the job waits for instances changes nothing",
        _by_digest,
    ),
    Difference(
        "DebugHookConfig",
        "the SDK's default of Debugger's hook, which does not work with model parallelism and is no part of the image",
        lambda sdk, ours: ours == MISSING and sdk["CollectionConfigurations"] == [],
    ),
    Difference(
        "ProfilerConfig",
        "the SDK's default of an optional service, which several regions lack; it writes to the user's bucket",
        lambda sdk, ours: ours == MISSING and sdk["DisableProfiler"] is False,
    ),
    *(
        Difference(
            f"HyperParameters.{name}",
            "the SDK v2 refuses this project's parallelism, so its hand-off goes past it; boto3 checks nothing",
            lambda sdk, ours: sdk == MISSING,
            ("past-the-sdk",),
        )
        for name in ("sagemaker_instance_type", "sagemaker_distributed_dataparallel_enabled")
    ),
)


def unexplained(project: str, sdk: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """The fields that differ although the list does not say so."""
    left, right = _named_alike(sdk), _named_alike(ours)
    known = {one.field: one for one in LIST if not one.projects or project in one.projects}
    return [
        f"{field}: the SDK sends {left.get(field, MISSING)!r}, we {right.get(field, MISSING)!r}"
        for field in sorted(left.keys() | right.keys())
        if left.get(field, MISSING) != right.get(field, MISSING)
        and not (field in known and known[field].holds(left.get(field, MISSING), right.get(field, MISSING)))
    ]


def _named_alike(request: dict[str, Any]) -> dict[str, Any]:
    """Field by field: sections that the list names stay whole; the job's own name inside a value is one word."""
    whole = {one.field for one in LIST}
    flat: dict[str, Any] = {}
    for section, value in request.items():
        if isinstance(value, dict) and section not in whole:
            flat |= {f"{section}.{key}": item for key, item in value.items()}
        else:
            flat[section] = value
    name = request["TrainingJobName"]
    return {
        field: value.replace(name, "(job)")
        if isinstance(value, str) and field != "TrainingJobName"
        else value
        for field, value in flat.items()
    }
