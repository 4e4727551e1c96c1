"""What keeps the layers of an image from standing on another base."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from shardyard.engines.direct.file_tree import merged
from shardyard.engines.direct.layer_index import LayerIndex, Pipe, content, enter, unpacked
from shardyard.engines.direct.registered import Registered
from shardyard.engines.direct.run_lines import needs_mpi
from shardyard.engines.direct.store import Store
from shardyard.engines.direct.target_python import TargetPython, find
from shardyard.errors import ProjectError
from shardyard.registry.oci.blobs import Blobs

_ELF = b"\x7fELF"
_SYMBOL = re.compile(rb"GLIBC_2\.(\d+)")
_SITE = re.compile(r"lib/python(3\.\d+)/(?:site|dist)-packages/")
_SYSTEM_PACKAGES = "var/lib/dpkg/status"
_LARGEST = 512 << 20


@dataclass(frozen=True)
class Upper:
    """What the layers above the base hold; `glibc` is the newest minor version 2.N that their programs ask for."""

    indices: list[LayerIndex]
    glibc: int | None

    @classmethod
    def read(cls, image: Registered, below: int, store: Store) -> Upper:
        """Reads each layer once, and remembers what it found."""
        indices, needed = [], [0]
        for layer in image.manifest.layers[below:]:
            known = store.noted("uppers", layer.digest)
            if known is None:
                index, glibc = _scan(Blobs(image.repository).read(layer))
                store.note("uppers", layer.digest, {"index": index.as_dict(), "glibc": glibc})
            else:
                index, glibc = LayerIndex(**known["index"]), known["glibc"]
            indices.append(index)
            needed.append(glibc)
        return cls(indices, max(needed) or None)

    @property
    def paths(self) -> set[str]:
        return {path for index in self.indices for path in index.paths}


def _scan(chunks: Iterable[bytes]) -> tuple[LayerIndex, int]:
    index, needed = LayerIndex(), [0]
    with tarfile.open(fileobj=Pipe(unpacked(chunks)), mode="r:") as archive:  # type: ignore[call-overload]
        for one in archive:
            archive.members = []
            noted = enter(index, archive, one)
            if noted is None and one.isreg() and one.size <= _LARGEST:
                data = content(archive, one)
                if data.startswith(_ELF):
                    needed += [int(found) for found in _SYMBOL.findall(data)]
    return index, max(needed)


def reasons_against(
    image: Registered, upper: Upper, new: Registered, below: list[LayerIndex], dockerfile: str
) -> list[str]:
    """All of them; none means that the image can stand on the new base."""
    if image.platform != new.platform:
        return [f"it is built for {image.platform!r}, the new base for {new.platform!r}"]
    reasons = []
    if _SYSTEM_PACKAGES in upper.paths:
        reasons.append(
            "its own layers install system packages, and their list would hide what the new base has patched"
        )
    under = merged(below)
    if (
        upper.glibc is not None
        and under.glibc is not None
        and int(under.glibc.partition(".")[2]) < upper.glibc
    ):
        reasons.append(f"its own layers need glibc 2.{upper.glibc}, the new base has {under.glibc}")
    env = dict(one.split("=", 1) for one in new.settings.get("Env") or () if "=" in one)
    try:
        python = find(merged([*below, *upper.indices]), env)
    except ProjectError as error:
        return [*reasons, error.message]
    others = {found[1] for one in upper.paths if (found := _SITE.search(one))} - {python.version}
    if others:
        installed = ", ".join(sorted(others))
        reasons.append(
            f"its packages are installed for Python {installed}, the new base has {python.version}"
        )
    elif needs_mpi(dockerfile) and not (python.has_mpi and python.has_mpi4py):
        reasons.append("the new base has no MPI library, or no mpi4py: the ranks could not talk")
    return [*reasons, *_packages(python, upper, image.platform)]


def _packages(python: TargetPython, upper: Upper, platform: str) -> Iterator[str]:
    """Packages that are there twice, and those of the image's own layers whose needs are not met."""
    own = {name.rpartition("/")[0] for index in upper.indices for name in index.kept}
    found: dict[str, tuple[str, str]] = {}
    for folder, text in python.packages.items():
        name, version = _named(text)
        known, other = found.setdefault(name, (version, folder))
        same_place = other != folder and other.rpartition("/")[0] == folder.rpartition("/")[0]
        if same_place and {folder.strip("/"), other.strip("/")} & own:
            yield f"{name} would be there twice, as {known} and as {version}"
    environment = _markers(python.version, platform)
    for folder, text in python.packages.items():
        if folder.strip("/") not in own:
            continue
        says = HeaderParser().parsestr(text)
        for line in says.get_all("Requires-Dist") or ():
            try:
                need = Requirement(line)
                if need.marker is not None and not need.marker.evaluate(environment):
                    continue
                have = found.get(canonicalize_name(need.name), ("", ""))[0]
                if not have or not need.specifier.contains(Version(have), prereleases=True):
                    yield f"{says['Name']} needs {need}, and there would be {have or 'none'}"
            except (InvalidRequirement, InvalidVersion):
                continue  # what pip itself would pass over


def _markers(version: str, platform: str) -> dict[str, str]:
    """What the conditions of requirements are asked of: the image, not this machine."""
    machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}.get(platform, "")
    found = {name: str(value) for name, value in default_environment().items()}
    image = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}
    python = {"python_version": version, "python_full_version": f"{version}.0"}
    return {**found, **image, **python, "platform_machine": machine, "extra": ""}


def _named(metadata: str) -> tuple[str, str]:
    says = HeaderParser().parsestr(metadata)
    return canonicalize_name(says["Name"] or ""), says["Version"] or ""
