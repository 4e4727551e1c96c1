"""The code's archive and the build context: shape, order, what stays out, equal bytes."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from shardyard.errors import ProjectError
from shardyard.image import code_tar, context, runtime_tar
from shardyard.image.ignore import Ignore
from shardyard.project.load import load
from shardyard.project.model import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "shardyard.toml").write_text('[image]\nname = "demo"\nbase = "b"\nsource_dir = "src"\n')
    source = tmp_path / "src"
    (source / "pkg").mkdir(parents=True)
    (source / "train.py").write_text("print(1)\n")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o700)
    (source / "pkg" / "data.bin").write_bytes(bytes(700))
    (source / "pkg" / "notes.log").write_text("no")
    (source / "pkg" / "keep.log").write_text("yes")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "train.pyc").write_bytes(b"x")
    (source / "alias.py").symlink_to("train.py")
    (source / ".dockerignore").write_text("# logs\n**/*.log\n!pkg/keep.log\n")
    return load(tmp_path)


def code(project: Project) -> bytes:
    out = io.BytesIO()
    code_tar.write(project, out)
    return out.getvalue()


def opened(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def test_contents_and_shape(project: Project) -> None:
    data = code(project)
    archive = opened(data)
    names = [name.removeprefix("opt/ml/code/") for name in archive.getnames()]
    assert names == ["opt", "opt/ml", "opt/ml/code", ".dockerignore", "alias.py", "pkg", "pkg/data.bin",
                     "pkg/keep.log", "run.sh", "train.py"]  # fmt: skip
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in archive} == {
        (0, 0, 0, "root", "root")
    }
    modes = {name: oct(one.mode) for name, one in zip(names, archive, strict=True)}
    assert (modes["opt"], modes["train.py"], modes["run.sh"]) == ("0o40755", "0o100644", "0o100755")
    assert data[:5] == b"opt/\0"
    assert data[329:345] == b"0000000\x000000000\x00"
    assert data[-1024:] == bytes(1024)
    assert data[-1536:-1024] != bytes(512)


def test_bytes_do_not_depend_on_times_or_the_owners_mask(project: Project) -> None:
    before = code(project)
    for path in project.source_dir.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
    (project.source_dir / "train.py").chmod(0o600)
    assert code(project) == before
    (project.source_dir / "train.py").write_text("print(2)\n")
    assert code(project) != before


@pytest.mark.parametrize(
    "name", ["a" * 90 + "/" + "b" * 90, "a" * 101, "ä" * 10, "x" * 60 + "/" + "y" * 60 + "/z"]
)
def test_long_and_foreign_names_survive(project: Project, name: str) -> None:
    path = project.source_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    archive = opened(code(project))
    member = archive.extractfile(f"opt/ml/code/{name}")
    assert member is not None
    assert member.read() == b"content"


def test_a_link_to_a_folder_outside_is_refused(project: Project) -> None:
    (project.source_dir / "up").symlink_to("..")
    with pytest.raises(ProjectError, match="links to a folder outside"):
        code(project)


def test_links_that_lead_nowhere_stay_links(project: Project) -> None:
    (project.source_dir / "loop").symlink_to("loop")
    (project.source_dir / "gone").symlink_to("/no/such/file")
    archive = opened(code(project))
    assert archive.getmember("opt/ml/code/loop").linkname == "loop"
    assert archive.getmember("opt/ml/code/gone").linkname == "/no/such/file"


def test_the_context_holds_what_the_dockerfile_names(project: Project) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    context.write(project, first)
    context.write(project, second)
    assert first.getvalue() == second.getvalue()
    archive = opened(first.getvalue())
    assert archive.getnames() == ["runtime.tar", "code.tar", "Dockerfile"]
    inner = archive.extractfile("code.tar")
    assert inner is not None
    assert inner.read() == code(project)


def test_the_original_library_of_a_base_stays_reachable(project: Project) -> None:
    own = replace(project, image=replace(project.image, runtime="image"))
    for one, expected in ((project, True), (own, False)):
        out = io.BytesIO()
        runtime_tar.write(one, out)
        names = opened(out.getvalue()).getnames()
        assert ("opt/shardyard/lib/smdistributed/__init__.py" in names) is expected
        assert "opt/shardyard/bin/train" in names
        assert "opt/shardyard/LICENSE" in names
        assert not [
            name for name in names if ".dist-info" in name
        ]  # pip rewrites it: an installed runtime would give other bytes than a checkout


@pytest.mark.parametrize(
    ("lines", "path", "out"),
    [
        (["*.log"], "a.log", True),
        (["*.log"], "d/a.log", False),
        (["**/*.log"], "d/e/a.log", True),
        (["data"], "data/deep/x", True),
        (["/data/"], "data", True),
        (["data/**", "!data/keep"], "data/keep", False),
        (["a?c"], "abc", True),
        (["[ab].txt"], "b.txt", True),
        (["# no"], "# no", False),
        (["a.b"], "aXb", False),
    ],
)
def test_ignore(lines: list[str], path: str, out: bool) -> None:
    assert Ignore(lines)(path) is out
