from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from shardyard.errors import MissingError, ProjectError, RemoteError
from shardyard.local import s3_inputs
from shardyard.local.s3_inputs import download


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = s3_inputs.client("us-east-1")
        client.create_bucket(Bucket="bkt")
        yield client


def put(s3: Any, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket="bkt", Key=key, Body=key.encode())


def got(folder: Path) -> dict[str, str]:
    return {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}


def test_a_prefix_with_more_than_a_page_of_objects(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")
    put(s3, *(f"data/{i // 10}/{i} ↓" for i in range(20)), "data/", "data/0/", "elsewhere")
    files, size = download(s3, "s3://bkt/data", tmp_path / "to")
    found = got(tmp_path / "to")
    assert len(found) == files == 20
    assert found["1/19 ↓"] == "data/1/19 ↓"
    assert size == sum(len(text.encode()) for text in found.values())


def test_an_object_alone_and_a_whole_bucket(s3: Any, tmp_path: Path) -> None:
    put(s3, "one/x.csv", "one/x.csv.gz")
    download(s3, "s3://bkt/one/x.csv", tmp_path / "alone")
    assert got(tmp_path / "alone") == {"x.csv": "one/x.csv"}
    download(s3, "s3://bkt", tmp_path / "all")
    assert set(got(tmp_path / "all")) == {"one/x.csv", "one/x.csv.gz"}


@pytest.mark.parametrize("keys", [("p/../../x",), ("p/a", "p/a/b"), ("p/a", "p//a")])
def test_keys_that_are_no_paths(s3: Any, tmp_path: Path, keys: tuple[str, ...]) -> None:
    put(s3, *keys)
    with pytest.raises(ProjectError, match="s3://bkt/p"):
        download(s3, "s3://bkt/p/", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_what_is_not_there(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="aws s3 ls s3://bkt/none"):
        download(s3, "s3://bkt/none", tmp_path / "to")
    with pytest.raises(RemoteError, match="NoSuchBucket"):
        download(s3, "s3://other/none", tmp_path / "to")


def test_a_full_disk_is_known_beforehand(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "p/a")
    usage = s3_inputs.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(s3_inputs.shutil, "disk_usage", lambda path: usage._replace(free=2))
    with pytest.raises(MissingError, match="SHARDYARD_CACHE"):
        download(s3, "s3://bkt/p", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
