"""Copying a folder while it is written: every file, its last version, and an end whatever the other side does."""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.launch import intermediate
from shardyard_runtime.launch.config import JobConfig
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.host import Event
from shardyard_runtime.launch.upload import Sync

Moved = Callable[[int], object]


class Store:
    """Keeps what it is given; may refuse some of the attempts."""

    def __init__(self, refusals: list[bool] | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.attempts: list[str] = []
        self.arrived = threading.Condition()
        self._refusals = refusals or []

    def __call__(self, path: Path, name: str, moved: Moved) -> None:
        self.attempts.append(name)
        if self._refusals and self._refusals.pop():
            raise ConnectionError("no way")
        content = path.read_bytes()
        moved(len(content))
        with self.arrived:
            self.files[name] = content
            self.arrived.notify_all()

    def wait_for(self, name: str, content: bytes) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.files.get(name) == content, 20), self.files


def no_events() -> queue.SimpleQueue[Event]:
    return queue.SimpleQueue()


def age(path: Path) -> None:
    os.utime(path, (1, 1))


def test_a_file_at_rest_travels_while_the_job_runs_and_again_when_it_changes(tmp_path: Path) -> None:
    store = Store()
    sync = Sync(tmp_path, store, look=0.01)
    sync.start()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    file = tmp_path / "deep" / "er" / "a"
    file.write_bytes(b"one")
    age(file)
    store.wait_for("deep/er/a", b"one")
    file.write_bytes(b"second")
    age(file)
    store.wait_for("deep/er/a", b"second")
    (tmp_path / "last").write_bytes(b"still warm")
    assert sync.finish(no_events()) == []
    assert store.files == {"deep/er/a": b"second", "last": b"still warm"}
    assert store.attempts.count("deep/er/a") == 2


def test_links_and_pipes_stay(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    sync = Sync(folder, store := Store())
    sync.start()
    assert sync.finish(no_events()) == []
    assert not store.attempts


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-c](/[d-f]){0,2}\.x", fullmatch=True), st.binary(max_size=9), max_size=6
    ),
    st.lists(st.booleans(), max_size=2),
)
def test_everything_is_there_in_the_end_though_some_attempts_fail(
    files: dict[str, bytes], refusals: list[bool]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, content in files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sync = Sync(Path(place), store := Store(refusals))
        sync.start()
        assert sync.finish(no_events()) == []
        assert store.files == files


def test_a_side_that_refuses_is_named_and_does_not_hold_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    sync = Sync(tmp_path, Store([True] * 99))
    sync.start()
    assert sync.finish(no_events()) == ["a"]
    assert "1 file(s)" in caplog.text
    assert "ConnectionError: no way" in caplog.text


@pytest.mark.parametrize("way_out", ["silence", "signals"])
def test_a_side_that_never_answers_does_not_hold_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way_out: str
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    reached = threading.Event()
    never = threading.Event()

    def hang(path: Path, name: str, moved: Moved) -> None:
        reached.set()
        never.wait(60)

    events = no_events()
    if way_out == "silence":
        monkeypatch.setenv("SHARDYARD_UPLOAD_TIMEOUT", "0.1")
    else:
        events.put(("signal", "algo-1", 15))
        events.put(("signal", "algo-1", 15))
    sync = Sync(tmp_path, hang)
    sync.start()
    assert sync.finish(events) == ["a"]
    assert "no answer in time" in caplog.text
    never.set()
    assert way_out == "signals" or reached.is_set()


def job(base: Path, target: str) -> JobConfig:
    return JobConfig(base, {"sagemaker_s3_output": target}, {})


def test_the_platforms_folder_and_one_on_disk_are_left_alone(tmp_path: Path) -> None:
    assert intermediate.start(job(tmp_path / "a", ""), {}) is None
    assert not (tmp_path / "a").exists()
    assert intermediate.start(job(tmp_path / "b", "file:///out"), {}) is None
    assert (tmp_path / "b" / "output" / "intermediate").is_dir()
    assert intermediate.start(job(tmp_path / "b", "s3://bucket/out"), {}) is None


def test_another_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="sagemaker_s3_output is 'bucket/out'"):
        intermediate.start(job(tmp_path, "bucket/out"), {})


def test_an_image_without_boto3_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert intermediate.start(job(tmp_path, "s3://b/out"), {}) is None
    assert "without boto3 this image cannot copy" in caplog.text
