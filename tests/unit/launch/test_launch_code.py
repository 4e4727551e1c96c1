from __future__ import annotations

import contextlib
import io
import json
import logging
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.launch.archive import unpack
from shardyard_runtime.launch.code import choose_code
from shardyard_runtime.launch.command import start_command
from shardyard_runtime.launch.config import JobConfig, read_config
from shardyard_runtime.launch.entry import Kind
from shardyard_runtime.launch.entry_choice import resolve_entry_point
from shardyard_runtime.launch.errors import LaunchError


def job(base: Path, submitted: str = "", baked: tuple[str, ...] = ()) -> JobConfig:
    (base / "input" / "config").mkdir(parents=True)
    hyperparameters = {"sagemaker_submit_directory": json.dumps(submitted)} if submitted else {}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    for name in baked:
        (base / "code").mkdir(exist_ok=True)
        (base / "code" / name).write_text("baked")
    return read_config(base)


def tar(path: Path, *members: tuple[str, str], mode: str = "w:gz") -> Path:
    """Members are (name, content); a content `-> x` makes a symbolic link."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
    return path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_submitted_archive_wins_over_baked_code(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    archive = tar(tmp_path / "sourcedir.tar.gz", ("train.py", "submitted"), ("lib/a.py", "a"))
    base = tmp_path / "ml"
    code = choose_code(job(base, str(archive), ("train.py", "old.py")), {})
    assert code.folder == base / "code-submitted"
    assert (code.folder / "train.py").read_text() == "submitted"
    assert not (code.folder / "old.py").exists()
    assert (base / "code" / "train.py").read_text() == "baked"
    assert "wins over the code of the image" in log.text
    assert "SHARDYARD_CODE=image reverses that" in log.text


def test_the_variable_reverses_it(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("train.py", "submitted"))
    config = job(tmp_path / "ml", str(archive), ("train.py",))
    assert choose_code(config, {"SHARDYARD_CODE": "image"}).folder == tmp_path / "ml" / "code"
    assert "because SHARDYARD_CODE=image" in log.text
    with pytest.raises(LaunchError, match="SHARDYARD_CODE is 'baked'"):
        choose_code(config, {"SHARDYARD_CODE": "baked"})


def test_without_baked_code_the_usual_folder_is_used(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar", ("train.py", "submitted"), mode="w")
    code = choose_code(job(tmp_path / "ml", str(archive)), {})
    assert code.folder == tmp_path / "ml" / "code"
    assert code.module_dir == str(archive)


def test_a_second_start_unpacks_into_another_fresh_folder(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("train.py", "submitted"))
    config = job(tmp_path / "ml", str(archive), ("train.py",))
    assert choose_code(config, {}).folder != choose_code(config, {}).folder


def test_a_submitted_folder_and_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").write_text("folder")
    code = choose_code(job(tmp_path / "one", f"file://{tmp_path / 'source'}"), {})
    assert (code.folder / "train.py").read_text() == "folder"
    code = choose_code(job(tmp_path / "two", str(tmp_path / "source" / "train.py")), {})
    assert (code.folder / "train.py").read_text() == "folder"


def test_the_variable_of_the_image_is_no_submission(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("train.py", "submitted"))
    base = tmp_path / "ml"
    config = job(base, str(archive), ("train.py",))
    code = choose_code(config, {"SAGEMAKER_SUBMIT_DIRECTORY": str(base / "code")})
    assert code.folder == base / "code-submitted"


def test_the_variable_can_name_an_archive(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("train.py", "from the variable"))
    code = choose_code(job(tmp_path / "ml"), {"SAGEMAKER_SUBMIT_DIRECTORY": str(archive)})
    assert (code.folder / "train.py").read_text() == "from the variable"


def test_submitted_code_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"'/none/s\.tar\.gz' is not there"):
        choose_code(job(tmp_path, "/none/s.tar.gz"), {})


def test_the_program_of_the_job_where_the_images_is_not_in_its_code(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("mine.py", ""))
    config = job(tmp_path / "ml", str(archive), ("train.py",))
    config.hyperparameters["sagemaker_program"] = "mine.py"
    assert resolve_entry_point(config, {"SAGEMAKER_PROGRAM": "train.py"}).program == "mine.py"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("../evil.py", "x", "leads out"),
        ("/evil.py", "x", "leads out"),
        ("a/../../evil.py", "x", "leads out"),
        ("link", "-> /etc/passwd", "leads out of the code folder. Submit"),
        ("link", "-> ../../outside", "leads out of the code folder. Submit"),
    ],
)
def test_an_archive_cannot_write_or_point_outside(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("train.py", "ok"), (name, content))
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(LaunchError, match=words):
        unpack(archive, target, "s.tar.gz")
    assert not (tmp_path / "evil.py").exists()


def test_nothing_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("link", "-> ."), ("link/a.py", "a"), ("b.py", "-> a.py"))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(LaunchError, match="cannot be unpacked"):
        unpack(archive, target, "s.tar.gz")


def test_a_link_inside_stays_one(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("lib/b.py", "-> ../a.py"), ("a.py", "a"))
    target = tmp_path / "target"
    target.mkdir()
    unpack(archive, target, "s.tar.gz")
    assert (target / "lib" / "b.py").read_text() == "a"
    assert (target / "lib" / "b.py").is_symlink()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_words(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "s.tar.gz").write_bytes(data)
    with contextlib.suppress(LaunchError):  # anything else fails the test
        unpack(folder / "s.tar.gz", folder / "out", "s3://b/s.tar.gz")


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(["w:gz", "w:bz2", "w:xz", "w"]),
    changes=st.dictionaries(st.integers(0), st.integers(0, 255)),
)
def test_a_damaged_archive_ends_in_words(
    tmp_path_factory: pytest.TempPathFactory, mode: str, changes: dict[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    archive = tar(folder / "s.tar", ("train.py", "print('x')" * 50), ("a/b", "-> ../train.py"), mode=mode)
    data = bytearray(archive.read_bytes())
    for position, value in changes.items():
        data[position % len(data)] = value
    archive.write_bytes(data)
    with contextlib.suppress(LaunchError):  # anything else fails the test
        unpack(archive, folder / "out", "s3://b/s.tar")


def test_links_that_lead_out_together_are_refused(tmp_path: Path) -> None:
    archive = tar(tmp_path / "s.tar.gz", ("a", "-> b/.."), ("b", "-> ."))
    (tmp_path / "target").mkdir()
    with pytest.raises(LaunchError, match="leads out"):
        unpack(archive, tmp_path / "target", "s.tar.gz")


@pytest.mark.parametrize(
    ("program", "setup", "kind"),
    [
        ("train.sh", True, Kind.COMMAND),
        ("train.py", True, Kind.PACKAGE),
        ("train.py", False, Kind.PROGRAM),
        ("run", False, Kind.COMMAND),
    ],
)
def test_the_kind_of_an_entry_point(tmp_path: Path, program: str, setup: bool, kind: Kind) -> None:
    config = job(tmp_path, baked=(program, "setup.py") if setup else (program,))
    assert resolve_entry_point(config, {"SAGEMAKER_PROGRAM": program}).kind is kind


@pytest.mark.parametrize(
    ("start", "command"), [("#!/bin/bash\n", ["./run.sh"]), ("echo hi\n", ["/bin/sh", "./run.sh"])]
)
def test_a_script_keeps_its_interpreter(tmp_path: Path, start: str, command: list[str]) -> None:
    config = job(tmp_path, baked=("run.sh",))
    (tmp_path / "code" / "run.sh").write_text(start)
    entry = resolve_entry_point(config, {"SAGEMAKER_PROGRAM": "run.sh"})
    assert start_command(entry, ["--a b"]) == [*command, "--a b"]
