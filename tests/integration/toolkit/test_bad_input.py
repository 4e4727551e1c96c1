"""Wrong projects and a machine without an engine: exit code, message, and nothing left. No engine needed."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.integration.toolkit.breaking_engine import breaking_engine
from tests.integration.toolkit.conftest import make_project
from tests.integration.toolkit.inside import SHARDYARD

DEGREES = """
[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 3, ddp = true }
"""
LOCAL_RUN = "run --engine process --input train=input"
BUILDING = ("build", "build-and-push")


def shardyard(folder: Path, words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The installed command, as a user types it; whatever happens, no traceback and no file of its own."""
    before = listing(folder)
    done = subprocess.run(
        [SHARDYARD, *words.split()],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder.parent), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert listing(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    return done


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "shardyard.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize("words", [*BUILDING, LOCAL_RUN, "run"])
def test_a_missing_entry_point(folder: Path, words: str) -> None:
    (folder / "src/train.py").rename(folder / "src/main.py")
    done = shardyard(folder, words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "shardyard: the project has 1 error; nothing was started",
        "error: image.entry_point: 'train.py' is not in 'src' [no-entry-point]",
        "    there is: main.py",
    ]


@pytest.mark.parametrize("words", ["plan", "render", *BUILDING, "push", LOCAL_RUN, "estimator"])
def test_an_unknown_key(folder: Path, words: str) -> None:
    edit(folder, "[registry]", 'entrypoint = "x.py"\n[registry]')
    done = shardyard(folder, words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "image.entrypoint: unknown key 'entrypoint'" in done.stderr
    assert "did you mean 'entry_point'?" in done.stderr


@pytest.mark.parametrize("words", [*BUILDING, LOCAL_RUN, "run"])
def test_processes_that_the_partitions_do_not_divide(folder: Path, words: str) -> None:
    edit(folder, "[job]", DEGREES + "[job]")
    done = shardyard(folder, words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "processes_per_host 2 × instance_count 2 = 4 processes" in done.stderr
    assert "pipeline_parallel_degree 3" in done.stderr
    assert "use 6 processes or 3" in done.stderr


def test_the_flags_of_a_run_count_not_the_job_of_the_file(folder: Path) -> None:
    edit(folder, "[job]", DEGREES.replace("3", "2") + "[job]")
    done = shardyard(folder, f"{LOCAL_RUN} --hosts 1 --processes-per-host 3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "processes_per_host 3 × instance_count 1 = 3 processes" in done.stderr


def test_check_tells_all_of_it_at_once(folder: Path) -> None:
    (folder / "src/train.py").unlink()
    edit(folder, "[job]", DEGREES.replace("ddp", "dpd") + "[job]")
    done = shardyard(folder, "check")
    assert (done.returncode, done.stderr) == (2, "")
    for said in (
        "'train.py' is not in 'src'",
        "shardyard init writes a working script",
        "did you mean 'ddp'?",
    ):
        assert said in done.stdout


@pytest.mark.parametrize("words", [*BUILDING, "push", "run --input train=input"])
def test_no_docker_engine(folder: Path, words: str) -> None:
    done = shardyard(folder, words, DOCKER_HOST="unix:///no/such.sock")
    assert (done.returncode, done.stdout) == (3, "")
    first, advice, other = done.stderr.splitlines()
    assert first.startswith("shardyard: no Docker engine answers at 'unix:///no/such.sock': ")
    assert advice == "Start the engine that DOCKER_HOST names, or type: unset DOCKER_HOST"
    assert "run --engine process" in other


@pytest.mark.parametrize(
    "rest", [b"", b'50\r\n{"str', b"5\r\n<html\r\n0\r\n\r\n"], ids=["gone", "half", "nonsense"]
)
def test_an_engine_that_breaks_off(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, rest: bytes
) -> None:
    with breaking_engine(tmp_path_factory.mktemp("engine") / "socket", rest) as engine:
        done = shardyard(folder, "build-and-push", DOCKER_HOST=engine)
    assert (done.returncode, done.stdout) == (3, "")
    step, first, advice = done.stderr.splitlines()
    assert step == "Step 1/9 : FROM base"
    assert f"engine at '{engine}' broke off in the middle of the build of 'integration-demo:latest'" in first
    assert advice.startswith("Type: shardyard doctor")


def test_doctor_says_that_the_engine_is_missing(folder: Path) -> None:
    done = shardyard(folder, "doctor", DOCKER_HOST="unix:///no/such.sock")
    assert (done.returncode, done.stderr) == (3, "")
    assert "MISS docker: no Docker engine answers at 'unix:///no/such.sock'" in done.stdout


def test_an_input_that_is_not_there(folder: Path) -> None:
    done = shardyard(folder, "run --engine process --input train=nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"run.inputs.train: there is no '{folder}/nowhere'" in done.stderr


def test_init_on_a_full_disk_leaves_no_half_project(tmp_path: Path) -> None:
    """A limit on the size of a file stands for the disk: the second file does not fit."""
    done = subprocess.run(
        [SHARDYARD, "init", "made"],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "shardyard: cannot write to 'made': File too large\n"
    assert list((tmp_path / "made").iterdir()) == []
