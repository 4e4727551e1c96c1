"""Which wheels the image lacks: uv resolves for the image's Python, among what is installed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from shardyard.engines.direct.index import for_uv, without_password
from shardyard.engines.direct.target_python import TargetPython
from shardyard.errors import JobError, MissingError, ProjectError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_OLDEST, _NEWEST = 17, 40  # the manylinux versions that uv has names for, gaps included
_NAMED = (17, 28, *range(31, _NEWEST + 1))


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Changes:
    """What an installation would do: wheels to add, folders of metadata whose package is to go."""

    wheels: tuple[Wheel, ...]
    removed: tuple[str, ...]


def platform_tag(target: TargetPython, platform: str) -> str:
    """The newest manylinux that the image's C library carries."""
    machine = _MACHINES.get("/".join(platform.split("/")[:2]))
    if machine is None or target.glibc is None:
        what = f"platform {platform!r}" if machine is None else "a base without the GNU C library"
        raise ProjectError(
            f"the direct engine installs no requirements for {what}. Type: shardyard build-and-push --engine docker"
        )
    minor = int(target.glibc.partition(".")[2])
    return f"{machine}-manylinux_2_{max((one for one in _NAMED if one <= minor), default=_OLDEST)}"


def changes(
    requirements: Sequence[str],
    files: Sequence[Path],
    target: TargetPython,
    platform: str,
    find_links: Sequence[Path],
    environment: Mapping[str, str],
) -> Changes:
    """Like `pip install` in the image: what fits stays, what is missing or does not fit is added."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "asked.txt").write_text("\n".join(requirements))
        asked = [word for one in (here / "asked.txt", *files) for word in ("-r", str(one))]
        common = [
            "--python-version", target.version, "--python-platform", platform_tag(target, platform),
            "--only-binary", ":all:", *(word for one in find_links for word in ("--find-links", str(one))),
        ]  # fmt: skip
        installed = _pretend(target, here / "installed")
        dry = ["pip", "install", "--dry-run", "--output-format", "json", "--target", str(here / "installed")]
        alone = ["--no-index"] if find_links else []
        planned = _uv([*dry, *common, *alone, *asked], environment)
        if planned.returncode and alone:  # the wheelhouse does not hold all: the index has its turn
            alone, planned = [], _uv([*dry, *common, *asked], environment)
        if planned.returncode:
            raise _unresolved(planned.stderr)
        steps = json.loads(planned.stdout)["changes"]
        pins = [f"{one['name']}=={one['version']}" for one in steps if one["action"] == "installed"]
        gone = {(one["name"], one["version"]) for one in steps if one["action"] == "uninstalled"}
        removed = tuple(sorted(installed[one] for one in gone if one in installed))
        wheels = _lock(here, pins, [*common, *alone], environment, _tags(target, platform)) if pins else ()
        return Changes(wheels, removed)


def _lock(
    here: Path, pins: list[str], options: list[str], environment: Mapping[str, str], tags: list[Tag]
) -> tuple[Wheel, ...]:
    (here / "pins.txt").write_text("\n".join(pins))
    lock = here / "pylock.toml"
    line = ["pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", "-o", str(lock), *options]
    done = _uv([*line, str(here / "pins.txt")], environment)
    if done.returncode:
        raise _unresolved(done.stderr)
    packages = tomllib.loads(lock.read_text())["packages"]
    return tuple(_chosen(one, tags) for one in packages)


def _chosen(package: dict[str, Any], tags: list[Tag]) -> Wheel:
    """The wheel that pip would take: the most specific that fits."""

    def rank(wheel: dict[str, Any]) -> int:
        names = parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))[3]
        return min((tags.index(one) for one in names if one in tags), default=len(tags))

    wheels = sorted(package.get("wheels") or (), key=rank)
    if not wheels or rank(wheels[0]) == len(tags):
        raise _unresolved(f"{package['name']} {package['version']} has no wheel that fits")
    found = wheels[0]
    return Wheel(
        package["name"], package["version"], without_password(found["url"]), found["hashes"]["sha256"]
    )


def _tags(target: TargetPython, platform: str) -> list[Tag]:
    """What the image's Python can load, best first."""
    machine, _, newest = platform_tag(target, platform).partition("-")
    old = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    platforms = [
        f"{name}_{machine}"
        for minor in range(int(newest.rpartition("_")[2]), 4, -1)
        for name in (f"manylinux_2_{minor}", *([old[minor]] if minor in old else ()))
    ]
    platforms.append(f"linux_{machine}")
    version = tuple(int(part) for part in target.version.split("."))
    interpreter = "cp" + target.version.replace(".", "")
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]


def _pretend(target: TargetPython, folder: Path) -> dict[tuple[str, str], str]:
    """The installed packages' metadata in a folder that uv takes for the image's."""
    folder.mkdir()
    found = {}
    for place, metadata in target.packages.items():
        copy = folder / place.rpartition("/")[2].replace(".egg-info", ".dist-info")
        if not copy.exists():  # the first on the search path counts
            copy.mkdir()
            (copy / "METADATA").write_text(metadata + "\n")
            (copy / "RECORD").touch()
            lines = dict(one.split(": ", 1) for one in metadata.splitlines() if ": " in one)
            name = lines.get("Name", "").lower().replace("_", "-").replace(".", "-")
            found[name, lines.get("Version", "")] = place
    return found


def _uv(words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        import uv
    except ImportError as error:
        raise MissingError(
            "uv is not installed, which resolves requirements. Type: pip install uv"
        ) from error
    line = [uv.find_uv_bin(), *words, "--no-progress", "--color", "never", "--no-config"]
    return subprocess.run(line, env=for_uv({**os.environ, **environment}), capture_output=True, text=True)


def _unresolved(said: str) -> JobError:
    return JobError(
        f"the requirements cannot be had as wheels for the image's Python:\n{said.strip()}\n"
        "Packages that have to be built from source need the docker engine: shardyard build-and-push --engine docker. "
        "Or put wheels of them into a folder and name it in [image] wheelhouse"
    )
