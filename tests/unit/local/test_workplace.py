from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shardyard.errors import MissingError, ProjectError
from shardyard.local.outputs import claimed, clear
from shardyard.local.workplace import clean_up, remove_tree, workplace

HOLD = """
import sys
from shardyard.local.workplace import workplace
with workplace("killed", "docker here") as folder:
    (folder / "file").touch()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SHARDYARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/local"


def test_a_killed_commands_folder_goes_with_the_next_run(cache: Path) -> None:
    seen: list[str] = []

    def remove(name: str) -> bool:
        seen.append(name)
        return True

    line = [sys.executable, "-c", HOLD]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        assert clean_up("docker here", remove) == []  # it lives
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    assert clean_up("process", remove) == []  # of another engine
    assert (cache / "killed/file").exists()
    assert clean_up("docker here", remove) == seen == ["killed"]
    assert list(cache.iterdir()) == []


def test_nothing_stays_of_a_job_that_ended(cache: Path) -> None:
    with workplace("one", "process") as one, workplace("two", "process") as two:
        assert one != two
        assert clean_up("process", lambda name: pytest.fail(name)) == []
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SHARDYARD_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingError, match="SHARDYARD_CACHE"), workplace("x", "process"):
        pass


def test_folders_that_nobody_may_write_to_go_too(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").touch()
    (tmp_path / "kept").mkdir()
    (top / "a/link").symlink_to(tmp_path / "kept")
    for folder in ("a/b", "a"):
        (top / folder).chmod(0o500)
    caller = [
        sys.executable,
        "-c",
        f"from shardyard.local.workplace import *; remove_tree(Path({str(top)!r}))",
    ]
    if os.getuid() == 0:  # without what lets root write everywhere
        caller = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *caller]
    done = subprocess.run(caller, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not top.exists()
    assert (tmp_path / "kept").is_dir()


def test_a_folder_of_outputs_is_one_jobs(tmp_path: Path) -> None:
    place = tmp_path / "run"
    with claimed(place, elsewhere=True) as first, claimed(place, elsewhere=True) as second:
        assert (first, second) == (place, tmp_path / "run-2")
        with pytest.raises(ProjectError, match="another job writes"), claimed(place, elsewhere=False):
            pass
    with claimed(place, elsewhere=False) as again:
        assert again == place
    assert list(place.iterdir()) == []


def test_only_what_a_run_wrote_is_cleared(tmp_path: Path) -> None:
    for name in ("algo-1/model/x", "algo-3/output/failure", "algo-3/notes.txt", "mine/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("model.tar.gz", "other.tar.gz"):
        (tmp_path / name).touch()
    clear(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["algo-3/notes.txt", "mine/x", "other.tar.gz"]
    assert not (tmp_path / "algo-1").exists()


def test_remove_tree_of_a_link_keeps_its_end(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["kept"]
