"""Requirements for another Python than this one: resolved by uv, laid out by installer, never run."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from shardyard.engines.direct import layers, packages, resolve
from shardyard.engines.direct.layer_index import LayerIndex
from shardyard.engines.direct.layer_tar import Entry
from shardyard.engines.direct.store import Store
from shardyard.engines.direct.target_python import TargetPython, find
from shardyard.errors import JobError, ProjectError

SITE = "/usr/local/lib/python3.12/dist-packages"
TARGET = TargetPython("3.12", "/usr/bin/python3", "/usr/local", SITE, (SITE,), "2.36", True, True)


def wheel(
    folder: Path, name: str, version: str, tag: str = "py3-none-any", needs: str = "", **files: str
) -> Path:
    """A wheel with a module and a script."""
    info = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-run = {name}:main\n",
        **files,
    }
    lines = [f"{path},sha256={_hash(text)},{len(text)}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(place, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return place


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def holding(target: TargetPython, name: str, version: str, files: tuple[str, ...] = ()) -> TargetPython:
    folder = f"{SITE}/{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"
    record = "\n".join(f"{one},," for one in files)
    return replace(
        target,
        packages={**target.packages, folder: metadata},
        records={**target.records, folder: record},
    )


def changes(folder: Path, target: TargetPython, *asked: str) -> resolve.Changes:
    return resolve.changes(asked, [], target, "linux/amd64", [folder], {"UV_OFFLINE": "1"})


def made(tmp_path: Path, found: resolve.Changes, target: TargetPython, root: str) -> dict[str, Entry]:
    (tmp_path / root).mkdir()
    entries = packages.installed(found, target, Store(tmp_path / "store"), tmp_path / root)
    return {one.name: one for one in entries}


def test_what_is_missing_is_laid_out_for_the_images_python(tmp_path: Path) -> None:
    house = tmp_path / "house"
    wheel(house, "alpha", "1.0", needs="beta>=2")
    wheel(house, "beta", "2.5")
    found = changes(house, TARGET, "alpha")
    assert [(one.name, one.version) for one in found.wheels] == [("alpha", "1.0"), ("beta", "2.5")]
    entries = made(tmp_path, found, TARGET, "root")
    inside = SITE.strip("/")
    assert f"{inside}/alpha/__init__.py" in entries
    script = entries["usr/local/bin/alpha-run"]
    assert script.executable
    assert script.open is not None
    with script.open() as text:
        assert text.read().startswith(b"#!/usr/bin/python3\n")
    assert not [name for name in entries if name.endswith(".pyc")]
    again = made(tmp_path, found, TARGET, "again")
    store = Store(tmp_path / "layers")
    assert layers.make(entries.values(), store) == layers.make(again.values(), store)


def test_what_is_there_and_fits_stays(tmp_path: Path) -> None:
    wheel(tmp_path / "house", "alpha", "1.0")
    wheel(tmp_path / "house", "beta", "9.0")
    target = holding(holding(TARGET, "beta", "2.0+cpu"), "alpha", "0.9")
    assert changes(tmp_path / "house", target, "beta>=2", "alpha").wheels == ()


def test_a_package_that_does_not_fit_is_replaced_whole(tmp_path: Path) -> None:
    wheel(tmp_path / "house", "alpha", "2.0")
    old = ("alpha/__init__.py", "alpha/old.py", "../../../bin/alpha-old", "../../../../../etc/passwd")
    target = holding(TARGET, "alpha", "1.0", old)
    found = changes(tmp_path / "house", target, "alpha>=2")
    entries = made(tmp_path, found, target, "root")
    inside = SITE.strip("/")
    gone = {name for name, one in entries.items() if one.kind == "removed"}
    assert gone == {f"{inside}/alpha-1.0.dist-info", f"{inside}/alpha/old.py", "usr/local/bin/alpha-old"}
    assert entries[f"{inside}/alpha/__init__.py"].kind == "file"


@pytest.mark.parametrize(
    ("glibc", "expected"),
    [("2.36", "manylinux_2_28"), ("2.17", "manylinux_2_17"), ("2.27", "manylinux_2_17")],
)
def test_the_newest_wheel_that_the_c_library_carries(tmp_path: Path, glibc: str, expected: str) -> None:
    for tag in (
        "manylinux_2_17_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux_2_39_x86_64",
        "musllinux_1_2_x86_64",
    ):
        wheel(tmp_path / "house", "alpha", "1.0", f"cp312-cp312-{tag}")
    wheel(tmp_path / "house", "alpha", "1.0", "cp311-cp311-manylinux_2_17_x86_64")
    (found,) = changes(tmp_path / "house", replace(TARGET, glibc=glibc), "alpha").wheels
    assert expected in found.url
    assert "cp312" in found.url


def test_a_source_distribution_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house/alpha-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(JobError, match="--engine docker"):
        changes(tmp_path / "house", TARGET, "alpha")


def test_without_the_gnu_c_library_nothing_is_installed() -> None:
    with pytest.raises(ProjectError, match="GNU C library"):
        resolve.platform_tag(replace(TARGET, glibc=None), "linux/amd64")


def test_a_changed_wheel_is_noticed(tmp_path: Path) -> None:
    place = wheel(tmp_path / "house", "alpha", "1.0")
    (found,) = changes(tmp_path / "house", TARGET, "alpha").wheels
    place.write_bytes(b"other")
    with pytest.raises(JobError, match="has sha256"):
        packages.fetched(found, Store(tmp_path / "store"))


VENV = {
    "opt/venv/bin/python3": "lpython3.11",
    "opt/venv/bin/python3.11": "l/usr/bin/python3.11",
    "usr/bin/python3.11": "f",
}


@pytest.mark.parametrize(
    ("paths", "kept", "path", "site"),
    [
        (VENV, {"opt/venv/pyvenv.cfg": "home = /usr/bin"}, "/opt/venv/bin:/usr/bin", "/opt/venv/lib/python3.11/site-packages"),
        (
            {"usr/bin/python3": "lpython3.9", "usr/bin/python3.9": "f", "usr/lib/python3/dist-packages": "d", "bin": "lusr/bin"},
            {}, "/bin", "/usr/local/lib/python3.9/dist-packages",
        ),
        (
            {"opt/conda/bin/python3": "lpython3.10", "opt/conda/bin/python3.10": "f"},
            {}, "/opt/conda/bin", "/opt/conda/lib/python3.10/site-packages",
        ),
        (
            {"usr/local/bin/python3": "f", "usr/local/lib/python3.12/os.py": "f"},
            {}, "/usr/local/bin", "/usr/local/lib/python3.12/site-packages",
        ),
    ],
)  # fmt: skip
def test_where_the_images_python_keeps_packages(
    paths: dict[str, str], kept: dict[str, str], path: str, site: str
) -> None:
    assert find(LayerIndex(paths, kept), {"PATH": path}).site == site


def test_no_python_is_said() -> None:
    with pytest.raises(ProjectError, match="no python3 on its PATH"):
        find(LayerIndex(), {})
