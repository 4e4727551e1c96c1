from __future__ import annotations

from pathlib import Path

import pytest

from shardyard.local.credentials import credentials


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = (
        "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY",
        "SESSION_TOKEN",
        "PROFILE",
        "CONFIG_FILE",
        "SHARED_CREDENTIALS_FILE",
    )
    for name in names:
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert credentials() == {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_those_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[work]\naws_access_key_id = a\naws_secret_access_key = b\naws_session_token = c\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert list(credentials().values()) == ["a", "b", "c"]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert credentials() == {}


def test_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The metadata service of an instance, which a laptop would wait for."""

    def asked(*arguments: object, **options: object) -> None:
        raise AssertionError("a service was asked")

    monkeypatch.setattr("botocore.utils.IMDSFetcher._fetch_metadata_token", asked)
    assert credentials() == {}
    (tmp_path / ".aws").mkdir()
    assert credentials() == {}
