"""The shape of shardyard.toml: what pydantic found, said as findings; mistakes with words of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from shardyard.project.findings import Finding
from shardyard.project.keys import where_it_belongs
from shardyard.project.numbers import too_large

_QUOTE_LIMIT = 80


def before_validation(raw: dict[str, Any], root: Path) -> list[Finding]:
    """Names what the classes cannot: a missing level, parameters in a file of their own. Edits ``raw``."""
    findings: list[Finding] = []
    if "root" in raw:
        del raw["root"]
        findings.append(Finding("error", "unknown-key", "root", "unknown section", "delete the line"))
    distribution = raw.get("distribution")
    if isinstance(distribution, dict):
        findings += _without_smdistributed(distribution)
    smd = distribution.get("smdistributed") if isinstance(distribution, dict) else None
    if not isinstance(smd, dict):
        return findings
    stray = [key for key in ("enabled", "parameters") if key in smd]
    if stray:
        for key in stray:
            del smd[key]
        findings.append(
            Finding(
                "error",
                "missing-level",
                "distribution.smdistributed",
                f"{' and '.join(stray)} directly under 'smdistributed': the 'modelparallel' level is missing",
                "write [distribution.smdistributed.modelparallel] above them",
            )
        )
    block = smd.get("modelparallel")
    if isinstance(block, dict) and isinstance(block.get("parameters"), str):
        findings += _read_parameters(block, root)
    return findings


def _without_smdistributed(distribution: dict[str, Any]) -> list[Finding]:
    """A strategy one level too high."""
    names = [name for name in ("modelparallel", "dataparallel") if name in distribution]
    for name in names:
        del distribution[name]
    text = "stands directly under 'distribution': the 'smdistributed' level is missing"
    return [
        Finding(
            "error",
            "missing-level",
            f"distribution.{name}",
            text,
            f"write [distribution.smdistributed.{name}] above it",
        )
        for name in names
    ]


def _read_parameters(block: dict[str, Any], root: Path) -> list[Finding]:
    """``parameters`` may be the path of a JSON file, as for an estimator."""
    name = block.pop("parameters")
    where = "distribution.smdistributed.modelparallel.parameters"
    try:
        data = json.loads((root / name).read_text(encoding="utf-8"))
        large = too_large(data)
        problem = "" if isinstance(data, dict) else f"holds a {type(data).__name__}, not a JSON object"
        problem = f"holds a whole number beyond 64 bits at {large!r}" if large is not None else problem
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON: {error}"
    if problem:
        return [
            Finding(
                "error", "parameters-file", where, f"{name!r} {problem}", "name a JSON file, or use a table"
            )
        ]
    block["parameters"] = data
    return []


def as_findings(error: ValidationError, raw: dict[str, Any]) -> list[Finding]:
    return [_as_finding(detail, raw) for detail in error.errors(include_url=False)]


def _as_finding(detail: ErrorDetails, raw: dict[str, Any]) -> Finding:
    parts = [str(part) for part in detail["loc"]]
    where = ".".join(parts)
    if detail["type"] == "extra_forbidden":
        what = "section" if len(parts) == 1 else "key"
        message = f"unknown {what} {_quote(parts[-1])}"
        return Finding("error", "unknown-key", where, message, where_it_belongs(parts))
    if detail["type"] == "missing":
        example = {"image.name": 'name = "my-model"'}.get(where, f"{parts[-1]} = ...")
        return Finding(
            "error", "missing-key", where, "is missing", f"add to [{'.'.join(parts[:-1])}]: {example}"
        )
    text = detail["msg"][:1].lower() + detail["msg"][1:]
    return Finding("error", "wrong-value", where, f"{_quote(detail['input'])}: {text}", _hint(where))


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTE_LIMIT else text[: _QUOTE_LIMIT - 3] + "..."


def _hint(where: str) -> str:
    return {
        "image.name": 'lower-case letters, digits and single separators, e.g. name = "team/my-model"',
        "registry.account": 'twelve digits in quotes, e.g. account = "012345678901"',
        "run.shm_size": 'a number and its unit, e.g. shm_size = "8g"',
    }.get(where, "")
