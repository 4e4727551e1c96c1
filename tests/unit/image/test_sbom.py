"""Packages as pip's and dpkg's own files tell them."""

from __future__ import annotations

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from shardyard.engines.direct.layer_index import LayerIndex
from shardyard.image.sbom import Package, document, packages

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: a text
 Version: of a description

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: halfway
Status: install ok half-installed
Version: 1
"""
KEPT = {
    "opt/venv/lib/python3.11/site-packages/My_Pkg-1.0.dist-info/METADATA": "Name: My_Pkg\nVersion: 1.0\n"
    "License-Expression: Apache-2.0 OR MIT\n\nName: not this\n",
    "usr/lib/python3/dist-packages/my.pkg-1.0.egg-info/PKG-INFO": "Name: my.pkg\nVersion: 2.0\n",
    "opt/venv/x.dist-info/METADATA": "Version: 1\n",
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/status.d/tz": "Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
    "usr/lib/os-release": 'NAME="Ubuntu"\nID=ubuntu\n',
}


def test_each_installed_package_once() -> None:
    assert packages(LayerIndex({}, KEPT)) == [
        Package("deb", "libc6", "2.36-9", "ubuntu", "amd64"),
        Package("deb", "tzdata", "2024a", "ubuntu", "all"),
        Package("pypi", "my-pkg", "1.0", license="Apache-2.0 OR MIT"),
        Package("pypi", "my-pkg", "2.0"),
    ]


def test_the_document_fits_its_schema() -> None:
    labels = {"org.opencontainers.image.title": "demo", "org.opencontainers.image.base.name": "base:1"}
    text = document("sha256:1", labels, packages(LayerIndex({}, KEPT)))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "demo"
    assert "pkg:deb/ubuntu/libc6@2.36-9?arch=amd64" in {one.get("purl") for one in bill["components"]}
