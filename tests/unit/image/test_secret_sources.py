"""Where a build's secrets come from, and the keys that must not hold one."""

from __future__ import annotations

from pathlib import Path

import pytest

import shardyard
from shardyard.image.secret_sources import secret_sources

TOML = """[image]
name = "a"
base = "base:1"
[image.secrets]
one = { file = "one.txt" }
two = { env = "TWO" }
"""


def test_sources_and_the_words_to_hide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shardyard.toml").write_text(TOML)
    monkeypatch.delenv("TWO", raising=False)
    with pytest.raises(shardyard.ProjectError) as caught:
        secret_sources(shardyard.load(tmp_path))
    assert [one.where for one in caught.value.findings] == ["image.secrets.one", "image.secrets.two"]

    (tmp_path / "one.txt").write_text("login me\npassword hunter2-long\n")
    monkeypatch.setenv("TWO", "two-value")
    one, two = secret_sources(shardyard.load(tmp_path))
    assert (one.name, one.file, one.env) == ("one", str(tmp_path / "one.txt"), None)
    assert "hunter2-long" in one.words
    assert "me" not in one.words  # would blot out half of every log
    assert (two.name, two.file, two.env, two.words) == ("two", None, "TWO", ("two-value",))
    assert "two-value" not in repr(two)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ('[image.build_args]\nPIP_TOKEN = "x"', "secret"),
        ('[image.build_args]\n"A B" = "x"', "wrong-value"),
        ('[image.secrets]\na = { file = "x", env = "X" }', "wrong-value"),
        ("[image.secrets]\na = { }", "wrong-value"),
        ('[image.secrets]\n"a,b" = { env = "X" }', "wrong-value"),
        ('[image.secrets]\na = { env = "X", target = "relative" }', "wrong-value"),
        ('[image.secrets]\na = { env = "X", targt = "/x" }', "unknown-key"),
        ('[image.secrets]\na = { file = "none" }', "no-secret"),
        ('engine = "direct"\n[image.secrets]\na = { env = "X" }', "secret-direct"),
        ('user = "no such"', "wrong-value"),
        ('user = "0"', "wrong-value"),
    ],
)
def test_check_refuses(tmp_path: Path, lines: str, code: str) -> None:
    (tmp_path / "shardyard.toml").write_text(f'[image]\nname = "a"\nbase = "base:1"\n{lines}\n')
    (tmp_path / "train.py").touch()
    assert [one.code for one in shardyard.check(tmp_path) if one.level == "error"] == [code]
