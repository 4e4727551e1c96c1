"""How a repository treats images: what [registry] asks for and what ECR says that it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shardyard.project.model import Registry

IMMUTABLE = "IMMUTABLE"


@dataclass(frozen=True)
class Settings:
    """``immutable``: a tag that exists never moves. (A repository that exempts some tags counts as mutable: it
    says itself which it refuses.)"""

    scan_on_push: bool
    immutable: bool

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Settings:
        """From an answer of DescribeRepositories."""
        scanning = described.get("imageScanningConfiguration") or {}
        return cls(bool(scanning.get("scanOnPush")), described.get("imageTagMutability") == IMMUTABLE)


def wanted(registry: Registry) -> dict[str, Any]:
    """The arguments of CreateRepository that say so."""
    arguments: dict[str, Any] = {}
    if registry.scan_on_push:
        arguments["imageScanningConfiguration"] = {"scanOnPush": True}
    if registry.immutable_tags:
        arguments["imageTagMutability"] = IMMUTABLE
    return arguments


def differences(found: Settings, registry: Registry) -> Iterator[tuple[str, str]]:
    """What a repository that is there does not do though [registry] asks for it, and how to change that: a push
    makes a repository with these settings, but changes none."""
    name = registry.repository
    if registry.scan_on_push and not found.scan_on_push:
        change = f"put-image-scanning-configuration --repository-name {name} --image-scanning-configuration scanOnPush=true"
        yield f"the repository {name!r} is there, and does not scan what is pushed", f"aws ecr {change}"
    if registry.immutable_tags and not found.immutable:
        change = f"put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE"
        yield f"the repository {name!r} is there, and its tags can be moved", f"aws ecr {change}"
