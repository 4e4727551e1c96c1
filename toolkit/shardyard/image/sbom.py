"""The bill of materials of an image: CycloneDX 1.6, from what its layers hold.

https://cyclonedx.org/docs/1.6/json; package URLs: https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any

from shardyard.errors import MissingError
from shardyard.image.labels import BASE_DIGEST, BASE_NAME, RUNTIME_VERSION, TITLE, VERSION

if TYPE_CHECKING:
    from shardyard.engines.direct.layer_index import LayerIndex

_METADATA = re.compile(r"[^/]+\.(?:dist|egg)-info/(?:METADATA|PKG-INFO)$")
_FACTS = (BASE_NAME, BASE_DIGEST, RUNTIME_VERSION)
_STATUS = re.compile(r"var/lib/dpkg/status(?:\.d/[^/]+)?$")


@dataclass(frozen=True)
class Package:
    """An installed package; ``kind`` and ``namespace`` as in a package URL (pypi; deb of debian)."""

    kind: str
    name: str
    version: str
    namespace: str | None = None
    architecture: str | None = None
    license: str | None = None


def packages(contents: LayerIndex) -> list[Package]:
    """What pip and dpkg say is installed, wherever in the image it lies; each once, sorted."""
    found = {*_python(contents.kept), *_system(contents.kept)}
    return sorted(found, key=lambda one: (one.kind, one.name, one.version, one.architecture or ""))


def _python(files: Mapping[str, str]) -> Iterator[Package]:
    for name, text in files.items():
        if _METADATA.search(name):
            says = HeaderParser().parsestr(text)
            if says["Name"] and says["Version"]:
                normal = re.sub(r"[-_.]+", "-", says["Name"]).lower()
                yield Package("pypi", normal, says["Version"], license=says["License-Expression"])


def _system(files: Mapping[str, str]) -> Iterator[Package]:
    release = files.get("etc/os-release") or files.get("usr/lib/os-release") or ""
    found = re.search(r'^ID="?([a-z0-9._-]+)', release, re.MULTILINE)
    for name, text in files.items():
        if _STATUS.match(name):
            for entry in text.split("\n\n"):
                says = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", entry, re.MULTILINE))
                if {"Package", "Version"} <= set(says) and says.get("Status", "ok installed").endswith(
                    " installed"
                ):
                    place = found[1] if found else "debian"
                    yield Package("deb", says["Package"], says["Version"], place, says.get("Architecture"))


def document(image_id: str, labels: Mapping[str, str], found: Iterable[Package]) -> str:
    """The bill as JSON. Raises MissingError where the library for it is not installed."""
    try:
        from cyclonedx.contrib.license.factories import LicenseFactory
        from cyclonedx.model import Property
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output import make_outputter
        from cyclonedx.schema import OutputFormat, SchemaVersion
        from packageurl import PackageURL
    except ImportError as error:
        raise MissingError(
            f"a bill of materials needs cyclonedx-python-lib ({error}). Type: pip install 'shardyard[sbom]'"
        ) from error

    def component(one: Package) -> Component:
        more = {"arch": one.architecture} if one.architecture else None
        url = PackageURL(one.kind, one.namespace, one.name, one.version, more)
        licenses = [LicenseFactory().make_from_string(one.license)] if one.license else []
        return Component(
            name=one.name,
            version=one.version,
            type=ComponentType.LIBRARY,
            purl=url,
            bom_ref=str(url),
            licenses=licenses,
        )

    parts = [component(one) for one in found]
    root = Component(
        name=labels.get(TITLE, "image"),
        version=labels.get(VERSION) or image_id,
        type=ComponentType.CONTAINER,
        bom_ref=image_id,
        properties=[Property(name=name, value=labels[name]) for name in _FACTS if name in labels],
    )
    if BASE_NAME in labels:
        base = labels[BASE_NAME]
        parts.append(
            Component(
                name=base,
                version=labels.get(BASE_DIGEST),
                type=ComponentType.CONTAINER,
                bom_ref=f"base:{base}",
            )
        )
    if RUNTIME_VERSION in labels:
        version = labels[RUNTIME_VERSION]
        parts.append(
            Component(
                name="shardyard-runtime",
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=f"shardyard-runtime@{version}",
            )
        )
    bom = Bom(components=parts)
    bom.metadata.component = root
    bom.register_dependency(root, parts)
    text: Any = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return str(text)
