"""Reading shardyard.toml: every finding at once, the nearest key, never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard.errors import ProjectError
from shardyard.project.load import load

FULL = """
[image]
name = "team/gpt"
framework_version = "2.0"
env = { A = "1" }
apt = ["openssh-server"]

[registry]
region = "us-east-1"
account = 123456789012

[distribution.smdistributed.modelparallel]
enabled = true
parameters = { partitions = 2, ddp = true }

[distribution.mpi]
enabled = true
processes_per_host = 4
custom_mpi_options = "-x A=1"

[job]
instance_type = "ml.p3.8xlarge"
instance_count = 2
"""


def project(folder: Path, text: str) -> Path:
    (folder / "shardyard.toml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(ProjectError) as caught:
        load(project(folder, text))
    assert caught.value.exit_code == 2
    return {one.where: f"{one.code} {one.message} {one.remedy}" for one in caught.value.findings}


def test_a_full_project_is_typed_and_completed(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, FULL))
    assert loaded.registry.account == "123456789012"
    assert loaded.registry.repository == "team/gpt"
    assert (loaded.run.hosts, loaded.run.processes_per_host) == (2, 4)
    assert loaded.distribution.as_dict() == {
        "smdistributed": {"modelparallel": {"enabled": True, "parameters": {"partitions": 2, "ddp": True}}},
        "mpi": {"enabled": True, "processes_per_host": 4, "custom_mpi_options": "-x A=1"},
    }
    assert load(tmp_path / "shardyard.toml") == loaded


def test_flags_override_the_file(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, FULL), {"registry.tag": "v2", "run.hosts": 1, "image.base": None})
    assert (loaded.local_tag, loaded.run.hosts) == ("team/gpt:v2", 1)


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        '[image]\nname = "Big"\nentrypoint = "x"\n[registri]\n[distribution.mpi]\nprocesses_per_host = 0\n',
    )
    assert set(found) == {"image.name", "image.entrypoint", "registri", "distribution.mpi.processes_per_host"}
    assert "'entry_point'" in found["image.entrypoint"]
    assert "'registry'" in found["registri"]
    assert "'Big'" in found["image.name"]


def test_a_missing_modelparallel_level_is_named(tmp_path: Path) -> None:
    text = '[image]\nname = "a"\n[distribution.smdistributed]\nenabled = true\nparameters = {}\n'
    assert "'modelparallel' level is missing" in problems(tmp_path, text)["distribution.smdistributed"]


def test_parameters_may_be_a_json_file(tmp_path: Path) -> None:
    (tmp_path / "mp.json").write_text('{"partitions": 2}')
    text = (
        '[image]\nname = "a"\n[distribution.smdistributed.modelparallel]\nenabled = true\nparameters = "%s"\n'
    )
    block = load(project(tmp_path, text % "mp.json")).distribution.model_parallel
    assert block is not None
    assert block.parameters == {"partitions": 2}
    where = "distribution.smdistributed.modelparallel.parameters"
    assert "'no.json'" in problems(tmp_path, text % "no.json")[where]


@pytest.mark.parametrize(
    "line",
    [
        'env = { "A B" = "1" }',
        'env = { A = "1\\nRUN evil" }',
        'env = { AWS_SECRET_ACCESS_KEY = "x" }',
        'run = ["a\\nUSER root"]',
        'apt = ["curl; evil"]',
        'base = "a b"',
    ],
)
def test_nothing_can_add_a_line_or_a_key_to_the_dockerfile(tmp_path: Path, line: str) -> None:
    assert problems(tmp_path, f'[image]\nname = "a"\n{line}\n')


@pytest.mark.parametrize("text", ["[image", "\x00", "[image]\nname = 1\nname = 2", "a=" + "[" * 5000])
def test_what_is_no_toml_is_a_finding(tmp_path: Path, text: str) -> None:
    assert "not-toml" in problems(tmp_path, text)["shardyard.toml"]


def test_an_unknown_home_is_no_traceback(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, '[image]\nname = "a"\nsource_dir = "~nobody-of-this-name/x"\n'))
    assert loaded.source_dir.name == "x"


_SCALARS = st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_NAMES = st.sampled_from(
    ["image", "registry", "distribution", "smdistributed", "modelparallel", "mpi", "job", "run", "name", "env",
     "enabled", "parameters", "inputs", "root", "apt", "account", "hosts", "base"]
) | st.text(max_size=5)  # fmt: skip
_TABLES = st.dictionaries(
    _NAMES,
    st.recursive(
        _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)
    ),
    max_size=5,
)


def toml(value: object) -> str:
    """A value as inline TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{toml(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
    return repr(value)


def loads_or_finds(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shardyard.toml"
        file.write_bytes(data)
        try:
            load(file)
        except ProjectError as error:
            if not error.findings:
                raise


@given(_TABLES)
def test_any_table_loads_or_is_refused(tables: dict[str, object]) -> None:
    loads_or_finds("\n".join(f"{toml(name)} = {toml(one)}" for name, one in tables.items()).encode())


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    loads_or_finds(data)
