"""The Python of the image, found without running it: on its PATH, through its links."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from shardyard.engines.direct.file_tree import resolve
from shardyard.engines.direct.layer_index import LayerIndex
from shardyard.errors import ProjectError

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_METADATA = re.compile(r"(?P<place>.*)/(?P<folder>[^/]+\.(?:dist|egg)-info)/(?:METADATA|PKG-INFO)")


@dataclass(frozen=True)
class TargetPython:
    """`site` is where pip would install, `search` every folder that packages are found in; absolute paths.
    `packages` are the installed ones: the folder of the metadata to the metadata."""

    version: str
    executable: str
    prefix: str
    site: str
    search: tuple[str, ...]
    glibc: str | None
    has_mpi4py: bool
    has_mpi: bool
    packages: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> TargetPython:
        return cls(**{**raw, "search": tuple(raw["search"])})


def find(index: LayerIndex, env: dict[str, str]) -> TargetPython:
    """The `python3` that a RUN line of this image would start."""
    paths = index.paths
    folders = [one for one in (env.get("PATH") or _DEFAULT_PATH).split(":") if one.startswith("/")]
    real, folder = next(
        ((found, one) for one in folders if (found := resolve(paths, f"{one}/python3"))), (None, "")
    )
    if real is None:
        raise ProjectError(f"the base has no python3 on its PATH ({':'.join(folders)})")
    prefix = "/" + (resolve(paths, folder) or folder.strip("/")).rpartition("/")[0]
    settings = index.kept.get(f"{prefix.strip('/')}/pyvenv.cfg".lstrip("/"))
    if settings is None:
        prefix = "/" + real.rpartition("/")[0].rpartition("/")[0]
    version = _version(paths, real, prefix)
    own = f"{prefix.rstrip('/')}/lib/python{version}/site-packages"
    system = _system(paths, version)
    if settings is not None:
        shared = re.search(r"include-system-site-packages\s*=\s*true", settings) is not None
        site, search = own, (own, *(system if shared else ()))
    elif (
        prefix in ("/usr", "/") and "usr/lib/python3/dist-packages" in paths
    ):  # Debian keeps pip out of its own
        site, search = f"/usr/local/lib/python{version}/dist-packages", system
    else:
        site, search = own, (own,)
    packages, records = _packages(index, search)
    return TargetPython(
        version=version,
        executable=f"{folder}/python3",
        prefix="/usr/local" if site.startswith("/usr/local/lib") else prefix,
        site=site,
        search=search,
        glibc=index.glibc,
        has_mpi4py=any(resolve(paths, f"{one}/mpi4py/__init__.py") for one in search),
        has_mpi=any(re.search(r"(?:^|/)libmp(?:i|ich)(?:_[a-z]+)?\.so", one) for one in paths),
        packages=packages,
        records=records,
    )


def _version(paths: dict[str, str], real: str, prefix: str) -> str:
    named = re.search(r"python(3\.\d+)$", real)
    if named:
        return named[1]
    below = re.compile(re.escape(f"{prefix.strip('/')}/lib/python".lstrip("/")) + r"(3\.\d+)(?:/|$)")
    found = {match[1] for one in paths if (match := below.match(one))}
    if len(found) != 1:
        raise ProjectError(f"cannot tell the version of /{real} of the base; there is: {sorted(found)}")
    return found.pop()


def _system(paths: dict[str, str], version: str) -> tuple[str, ...]:
    candidates = (f"/usr/local/lib/python{version}/dist-packages", "/usr/lib/python3/dist-packages")
    return candidates if "usr/lib/python3/dist-packages" in paths else ()


def _packages(index: LayerIndex, search: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    places = {(resolve(index.paths, one) or one.strip("/")): one for one in search}
    packages, records = {}, {}
    for name, content in index.kept.items():
        found = _METADATA.fullmatch(name)
        if found and found["place"] in places:
            folder = f"{places[found['place']]}/{found['folder']}"
            packages[folder] = content.partition("\n\n")[0]  # the long description says nothing to a resolver
            records[folder] = index.kept.get(f"{name.rpartition('/')[0]}/RECORD", "")
    return packages, records
