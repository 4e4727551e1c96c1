"""``shardyard images``"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shardyard.catalog import bases, regions
from shardyard.errors import ProjectError
from shardyard.project.findings import Finding


@dataclass(frozen=True)
class BaseImage:
    """One base image; ``reference`` is its URI in a region, or repository and tag without one."""

    base: bases.Base
    reference: str

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The values of ``[image] runtime`` that work with it."""
        works = {"bundled": self.base.bundled_works, "image": self.base.smp is not None}
        return tuple(name for name, fits in works.items() if fits)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self.base), "reference": self.reference, "runtimes": list(self.runtimes)}


def images(
    *,
    framework: str | None = None,
    version: str | None = None,
    device: str | None = None,
    python: str | None = None,
    region: str | None = None,
) -> list[BaseImage]:
    """The base images that fit, oldest version first. "2.1" means every 2.1.x. Raises ProjectError for a
    region without base images."""
    try:
        registry = regions.find(region).registry + "/" if region else ""
    except bases.NoBase as error:
        finding = Finding("error", "no-base", "--region", error.message, error.remedy)
        raise ProjectError("no base images", [finding]) from error
    found = bases.select(framework, version, device, python)
    return [BaseImage(base, f"{registry}{base.repository}:{base.tag}") for base in found]
