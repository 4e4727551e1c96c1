"""shardyard images, as a user runs it."""

from __future__ import annotations

import json

import pytest

import shardyard
from shardyard.cli.main import main


def test_a_table_of_whole_references(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "-f", "pytorch", "--version", "2.0", "-d", "gpu", "-r", "cn-north-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["framework", "version", "device", "python", "original", "runtime", "image"]
    assert "bundled, image" in lines[-1]
    assert lines[-1].endswith(
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.0.1-gpu-py310"
    )


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "--framework", "tensorflow", "--version", "2.9.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["images"]
    assert [one["device"] for one in found] == ["cpu", "gpu"]
    assert all(one["runtimes"] == [] for one in found)


def test_nothing_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "--version", "99"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, "no base image fits" in captured.err) == ("", True)


@pytest.mark.parametrize(
    ("words", "said"), [(["--region", "us-esat-1"], "us-east-1"), (["--device", "tpu"], "tpu")]
)
def test_a_wrong_filter_exits_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_same_as_a_function() -> None:
    found = shardyard.images(framework="pytorch", version="1.13", device="gpu")
    assert [(one.base.smp, one.runtimes) for one in found] == [("1.15.0", ("image",))]
