"""The shape of shardyard.toml: what pydantic found, said as findings; mistakes with words of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shardyard.project.findings import Finding, nearest
from shardyard.project.model import Project

_QUOTE_LIMIT = 80


def before_validation(raw: dict[str, Any], root: Path) -> list[Finding]:
    """Names what the classes cannot: a missing level, parameters in a file of their own. Edits ``raw``."""
    findings: list[Finding] = []
    if "root" in raw:
        del raw["root"]
        findings.append(Finding("error", "unknown-key", "root", "unknown section", "delete the line"))
    distribution = raw.get("distribution")
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


def _read_parameters(block: dict[str, Any], root: Path) -> list[Finding]:
    """``parameters`` may be the path of a JSON file, as for an estimator."""
    name = block.pop("parameters")
    where = "distribution.smdistributed.modelparallel.parameters"
    try:
        data = json.loads((root / name).read_text(encoding="utf-8"))
        problem = "" if isinstance(data, dict) else f"holds a {type(data).__name__}, not a JSON object"
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
        known = _keys_at(parts[:-1])
        guess = nearest(parts[-1], known)
        what = "section" if len(parts) == 1 else "key"
        remedy = f"did you mean {guess!r}?" if guess else "known here: " + ", ".join(sorted(known))
        return Finding("error", "unknown-key", where, f"unknown {what} {_quote(parts[-1])}", remedy)
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
    }.get(where, "")


def _keys_at(path: list[str]) -> list[str]:
    """The keys that the section at this path knows."""
    model: type[BaseModel] = Project
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            return []
        options = [field.annotation, *get_args(field.annotation)]
        models = [one for one in options if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            return []
        model = models[0]
    return [name for name in model.model_fields if not (model is Project and name == "root")]
