"""The image that a project stands on."""

from __future__ import annotations

from shardyard.catalog import bases
from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard.project.model import Project


def base_of(project: Project) -> str:
    """``image.base``, or the catalog's image for the framework, version, Python, device and region."""
    image = project.image
    if image.base:
        return image.base
    try:
        if not project.registry.region:
            remedy = 'add to [registry]: region = "us-east-1", or to [image]: base = "..."'
            raise bases.NoBase("registry.region", "is missing: the base image is looked up by region", remedy)
        found = bases.find(image.framework, image.framework_version, image.python_version, image.device)
        return found.uri(project.registry.region)
    except bases.NoBase as error:
        finding = Finding("error", "no-base", error.key, error.message, error.remedy)
        raise ProjectError("no base image", [finding]) from error
