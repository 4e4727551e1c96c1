from __future__ import annotations

import tarfile
from pathlib import Path

from shardyard.local import artifacts


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        return {
            one.name: file.read().decode() for one in tar if one.isfile() and (file := tar.extractfile(one))
        }


def test_all_hosts_in_one_archive_and_the_first_wins(tmp_path: Path) -> None:
    write(
        tmp_path / "algo-1",
        {"model/a": "1", "model/same/x": "s", "output/data/d": "d", "output/failure": "f"},
    )
    write(tmp_path / "algo-2", {"model/a": "2", "model/same/x": "s", "model/b": "b"})
    assert artifacts.pack(tmp_path, ("algo-1", "algo-2")) == ["model/a"]
    assert contents(tmp_path / "model.tar.gz") == {"a": "1", "same/x": "s", "b": "b"}
    assert contents(tmp_path / "output.tar.gz") == {"d": "d"}


def test_a_file_where_another_host_has_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "algo-1", {"model/a": "file"})
    write(tmp_path / "algo-2", {"model/a/b": "inside"})
    assert artifacts.pack(tmp_path, ("algo-1", "algo-2")) == ["model/a"]
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out/a").read_text() == "file"


def test_a_job_that_wrote_nothing_has_empty_archives(tmp_path: Path) -> None:
    assert artifacts.pack(tmp_path, ("algo-1",)) == []
    assert contents(tmp_path / "model.tar.gz") == contents(tmp_path / "output.tar.gz") == {}
