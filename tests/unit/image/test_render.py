"""The Dockerfile: golden text, the same bytes under every hash seed, bases from the catalog."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shardyard
from shardyard.paths import runtime_source

HERE = Path(__file__).parent
FULL = """
[image]
name = "demo"
framework_version = "2.0"
requirements = "requirements.txt"
wheelhouse = "wheels"
ca_bundle = "ca.crt"
apt = ["openssh-server", "git"]
run = ["echo hello"]
build_args = { INDEX = 'https://example.com/"simple"' }
secrets = { token = { env = "TOKEN" }, netrc = { file = "~/.netrc", target = "/root/.netrc" } }
user = "trainer"
env = { ZETA = "z", ALPHA = 'a "$HOME"' }
[registry]
region = "us-east-1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shardyard.toml").write_text(FULL)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "ca.crt").write_text("certificate\n")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "train.py").write_text("print(1)\n")
    return tmp_path


def test_golden(folder: Path) -> None:
    golden = HERE / "golden.Dockerfile"
    assert shardyard.render(folder) == golden.read_text(encoding="utf-8")


def test_the_code_comes_last_and_the_required_lines_are_there(folder: Path) -> None:
    lines = shardyard.render(folder).strip().splitlines()
    assert lines[-1] == "ADD code.tar /"
    for line in ("ENV SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code", 'ENV PATH="/opt/ml/code:${PATH}"'):
        assert line in lines


def test_bytes_do_not_depend_on_the_hash_seed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from shardyard.image import context, runtime_tar\n"
        "from shardyard.project.load import load\n"
        "runtime_tar.runtime_source = lambda: Path(sys.argv[2])\n"
        "context.write(load(sys.argv[1]), sys.stdout.buffer)\n"
    )
    source = runtime_source()
    if source is None:
        pytest.skip("the runtime's sources are in a checkout only")
    runtime = shutil.copytree(source, tmp_path_factory.mktemp("copy") / "runtime")
    made = {
        subprocess.run(
            [sys.executable, "-c", code, str(folder), str(runtime)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(made) == 1


@pytest.mark.parametrize(
    ("overrides", "base"),
    [
        ({}, "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.1-gpu-py310"),
        (
            {"image.device": "cpu"},
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.1-cpu-py310",
        ),
        (
            {"registry.region": "cn-north-1"},
            ".dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.0.1-gpu-py310",
        ),
        (
            {"image.framework": "tensorflow", "image.framework_version": "2.12.0"},
            "/tensorflow-training:2.12.0-gpu",
        ),
        ({"image.base": "mine:1"}, "FROM mine:1\n"),
    ],
)
def test_the_base_is_looked_up(folder: Path, overrides: dict[str, str], base: str) -> None:
    assert base in shardyard.render(folder, overrides=overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"registry.region": "us-esat-1"}, ["'us-esat-1'", "'us-east-1'"]),
        ({"image.framework_version": "2.99"}, ["2.99", "image.framework_version"]),
        ({"image.python_version": "3.6"}, ["py36", "gpu with py310"]),
    ],
)
def test_a_base_that_is_not_there_is_explained(
    folder: Path, overrides: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(shardyard.ProjectError) as caught:
        shardyard.render(folder, overrides=overrides)
    for word in words:
        assert word in str(caught.value)
