"""Dockerfile syntax, and what a build without containers makes of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard.engines.direct.build import Builder
from shardyard.engines.direct.context import Context
from shardyard.engines.direct.image_config import ImageConfig
from shardyard.engines.direct.run_lines import RunLines, pip_install
from shardyard.engines.direct.store import Store
from shardyard.engines.progress import silent
from shardyard.errors import ProjectError
from shardyard.image.dockerfile import pairs, parse, quoted, words
from shardyard.image.tarball import Writer

BASE = {
    "os": "linux",
    "architecture": "amd64",
    "created": "2026-01-01T00:00:00Z",
    "container": "c",
    "config": {"Env": ["PATH=/bin", "A=1"], "Cmd": ["x"], "Labels": {"k": "v"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]},
    "history": [{"created_by": "base"}],
}


def built(tmp_path: Path, dockerfile: str, **files: bytes) -> dict:  # type: ignore[type-arg]
    out = io.BytesIO()
    writer = Writer(out)
    writer.data("Dockerfile", dockerfile.encode())
    for name, content in files.items():
        writer.data(name.replace("__", "/").replace("_", "."), content)
    writer.end()
    out.seek(0)

    def no_python() -> None:
        raise AssertionError("nobody has to look into the base")

    config = ImageConfig(BASE)
    run = RunLines(no_python, "linux/amd64")
    Builder(Context(out), config, Store(tmp_path), run, silent).all()
    found: dict = json.loads(config.raw())  # type: ignore[type-arg]
    return found


def test_settings_and_history(tmp_path: Path) -> None:
    text = """# a comment
FROM base
ENV A="2 $A" \\
    B=x
ENV PYTHONPATH="/lib${PYTHONPATH:+:$PYTHONPATH}" PATH="/new:${PATH}"
LABEL k=w other="1 2"
WORKDIR /work
WORKDIR in
USER me
ENTRYPOINT ["train", "x"]
COPY a.txt /opt/
"""
    found = built(tmp_path, text, a_txt=b"hello")
    config = found["config"]
    assert config["Env"] == ["PATH=/new:/bin", "A=2 1", "B=x", "PYTHONPATH=/lib"]
    assert config["Labels"] == {"k": "w", "other": "1 2"}
    assert (config["WorkingDir"], config["User"], config["Entrypoint"]) == ("/work/in", "me", ["train", "x"])
    assert "Cmd" not in config
    assert "container" not in found
    lines = found["history"][1:]
    assert [line["created_by"].split()[0] for line in lines] == [
        "ENV", "ENV", "LABEL", "WORKDIR", "WORKDIR", "USER", "ENTRYPOINT", "COPY",
    ]  # fmt: skip
    assert len([line for line in found["history"] if not line.get("empty_layer")]) == 2
    assert len(found["rootfs"]["diff_ids"]) == 2
    assert {line["created"] for line in lines} == {"1970-01-01T00:00:00Z"} == {found["created"]}


@pytest.mark.parametrize(
    "line",
    [
        "RUN apt-get update && apt-get install -y x",
        "RUN curl x | sh",
        "RUN pip install x && rm y",
        "RUN pip install git+https://h/x",
        "RUN pip install --no-binary :all: x",
        "RUN pip install ./x",
        "RUN pip install -r /not/copied.txt",
        "FROM other",
        "SHELL x",
        "ADD https://h/x /y",
        "COPY --from=x a /b",
    ],
)
def test_what_needs_a_container_is_refused_with_the_way_out(tmp_path: Path, line: str) -> None:
    with pytest.raises(ProjectError, match="--engine docker"):
        built(tmp_path, f"FROM base\n{line}\n")


def test_pip_lines_of_the_template() -> None:
    line = (
        "PIP_CERT=/c SSL_CERT_FILE=/c PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir "
        "--find-links /opt/shardyard/wheelhouse -r /opt/shardyard/requirements.txt"
    )
    found = pip_install(line)
    assert found is not None
    assert (found.files, found.find_links) == (
        ["/opt/shardyard/requirements.txt"],
        ["/opt/shardyard/wheelhouse"],
    )
    assert found.environment["PIP_CERT"] == "/c"
    again = pip_install("pip install 'a>=1,<2' b[c]==3 'd; python_version<\"4\"'")
    assert again is not None
    assert again.requirements == ["a>=1,<2", "b[c]==3", 'd; python_version<"4"']


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=1000), max_size=40))
def test_a_quoted_value_arrives_as_it_was(value: str) -> None:
    assert pairs(f"X={quoted(value)}", {"x": "expanded"}) == {"X": value}


@settings(deadline=None)
@given(st.text(max_size=100))
def test_any_line_is_split_or_refused(text: str) -> None:
    try:
        words(text, {"A": "1"})
        pip_install(text)
        list(parse(text))
    except ProjectError:
        pass
