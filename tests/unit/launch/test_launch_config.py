from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.launch.cluster import distribution_hosts, read_cluster
from shardyard_runtime.launch.config import JobConfig, decode_values, read_config
from shardyard_runtime.launch.entry import EntryPoint
from shardyard_runtime.launch.entry_choice import resolve_entry_point
from shardyard_runtime.launch.environment import training_environment
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.logs import log_level
from shardyard_runtime.launch.masking import Masker
from shardyard_runtime.launch.modes import Mode, choose_mode
from shardyard_runtime.launch.mpi_options import parse_options


def write(base: Path, name: str, content: object) -> None:
    folder = base / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))


def with_code(base: Path, name: str = "train.py") -> None:
    (base / "code").mkdir(parents=True, exist_ok=True)
    (base / "code" / name).touch()


def test_values_are_decoded_and_raw_strings_survive() -> None:
    raw = {"a": "8", "b": '"x"', "c": "False", "d": '{"ddp": true}', "e": 3, "f": "plain text"}
    assert decode_values(raw) == {
        "a": 8,
        "b": "x",
        "c": "False",
        "d": {"ddp": True},
        "e": 3,
        "f": "plain text",
    }


def test_defaults_stand_in_for_absent_files(tmp_path: Path) -> None:
    config = read_config(tmp_path)
    assert config.hosts == ["algo-1"]
    assert config.interface == "eth0"
    assert config.resource["current_group_name"] == "homogeneousCluster"
    assert config.resource["current_instance_type"] == "local"
    assert config.channels == {}


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    write(tmp_path, "hyperparameters", "{oops")
    with pytest.raises(LaunchError, match=r"hyperparameters\.json cannot be read as JSON"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("value", "enabled"), [("true", True), ("False", False), ("false", False), ("1", True)]
)
def test_pythons_spelling_of_false_is_false(tmp_path: Path, value: str, enabled: bool) -> None:
    write(tmp_path, "hyperparameters", {"sagemaker_mpi_enabled": value})
    assert read_config(tmp_path).mpi_enabled is enabled


def two_groups(tmp_path: Path) -> JobConfig:
    groups = [
        {"instance_group_name": "one", "instance_type": "t", "hosts": ["algo-2"]},
        {"instance_group_name": "two", "instance_type": "t", "hosts": ["algo-10", "algo-1"]},
    ]
    resource = {"current_host": "algo-1", "hosts": ["algo-1", "algo-2", "algo-10"], "instance_groups": groups}
    write(tmp_path, "resourceconfig", {**resource, "current_group_name": "two"})
    write(tmp_path, "hyperparameters", {"sagemaker_mpi_enabled": "true", "lr": "0.1", "batch-size": "4"})
    return read_config(tmp_path)


def test_hosts_of_the_distribution_groups_in_file_order(tmp_path: Path) -> None:
    assert distribution_hosts(two_groups(tmp_path)) == ["algo-10", "algo-1"]


@pytest.mark.parametrize("count", ["0", "-1", '"four"', "true", "1.5"])
def test_a_wrong_number_of_processes_is_quoted(tmp_path: Path, count: str) -> None:
    write(tmp_path, "hyperparameters", {"sagemaker_mpi_num_of_processes_per_host": count})
    with pytest.raises(LaunchError, match="sagemaker_mpi_num_of_processes_per_host is"):
        read_cluster(read_config(tmp_path))


def test_the_environment_beats_the_hyperparameter(tmp_path: Path) -> None:
    with_code(tmp_path, "other.py")
    write(tmp_path, "hyperparameters", {"sagemaker_program": '"train.py"'})
    entry = resolve_entry_point(read_config(tmp_path), {"SAGEMAKER_PROGRAM": "other.py"})
    assert entry.program == "other.py"


def test_a_local_submit_directory_is_the_code_folder(tmp_path: Path) -> None:
    with_code(tmp_path / "elsewhere")
    environ = {
        "SAGEMAKER_PROGRAM": "train.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": str(tmp_path / "elsewhere" / "code"),
    }
    assert resolve_entry_point(read_config(tmp_path), environ).code_dir == tmp_path / "elsewhere" / "code"


def test_no_entry_point_says_where_it_can_be_set(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"SAGEMAKER_PROGRAM.*sagemaker_program.*shardyard\.toml") as caught:
        resolve_entry_point(read_config(tmp_path), {})
    assert caught.value.exit_code == 2


def test_a_missing_entry_point_shows_what_is_there(tmp_path: Path) -> None:
    with_code(tmp_path)
    with pytest.raises(LaunchError, match=r"'tarin\.py' is not in .*there: train\.py"):
        resolve_entry_point(read_config(tmp_path), {"SAGEMAKER_PROGRAM": "tarin.py"})


def test_the_environment_of_a_host(tmp_path: Path) -> None:
    with_code(tmp_path)
    write(tmp_path, "inputdataconfig", {"train": {"TrainingInputMode": "File"}, "eval": {}})
    config = two_groups(tmp_path)
    entry = resolve_entry_point(config, {"SAGEMAKER_PROGRAM": "train.py"})
    variables = training_environment(config, entry, {"TRAINING_JOB_NAME": "job-7"})
    assert variables["SM_HOSTS"] == '["algo-1","algo-2","algo-10"]'
    assert variables["SM_HP_BATCH-SIZE"] == "4"
    assert variables["SM_HPS"] == '{"batch-size":4,"lr":0.1}'
    assert variables["SM_FRAMEWORK_PARAMS"] == '{"sagemaker_mpi_enabled":true}'
    assert json.loads(variables["SM_RESOURCE_CONFIG"]) == config.resource_file
    assert variables["CURRENT_HOST"] == "algo-1"
    assert variables["SM_USER_ARGS"] == '["--batch-size","4","--lr","0.1"]'
    assert variables["SM_CHANNELS"] == '["eval","train"]'
    assert variables["SM_CHANNEL_TRAIN"] == str(tmp_path / "input" / "data" / "train")
    assert variables["SM_IS_HETERO"] == "true"
    assert variables["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-10","algo-1"]'
    assert variables["PYTHONPATH"].split(":")[0] == str(tmp_path / "code")
    training = json.loads(variables["SM_TRAINING_ENV"])
    assert training["job_name"] == "job-7"
    assert training["is_master"] is False
    assert training["distribution_hosts"] == ["algo-10", "algo-1"]
    assert training["master_hostname"] == "algo-10"


@pytest.mark.parametrize(
    ("hyperparameter", "variable", "level"),
    [(None, None, 20), (None, "30", 30), ('"DEBUG"', "30", 10), ("40", None, 40), (None, "loud", 20)],
)
def test_the_log_level_of_the_job_or_of_the_environment(
    tmp_path: Path, hyperparameter: str | None, variable: str | None, level: int
) -> None:
    given = {} if hyperparameter is None else {"sagemaker_container_log_level": hyperparameter}
    write(tmp_path, "hyperparameters", given)
    environ = {} if variable is None else {"SAGEMAKER_CONTAINER_LOG_LEVEL": variable}
    assert log_level(read_config(tmp_path), environ) == level


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from(["", "algo-1", "algo-2", "one", "ümlaut"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["hosts", "a"]), inner, max_size=2)
    ),
    max_leaves=5,
)
GROUP = st.fixed_dictionaries(
    {}, optional={"instance_group_name": JSON, "instance_type": JSON, "hosts": JSON}
)
RESOURCE = {
    "current_host": JSON,
    "hosts": JSON | st.just(["algo-1", "algo-2"]),
    "current_instance_type": JSON,
    "current_group_name": JSON,
    "network_interface_name": JSON,
    "instance_groups": JSON | st.lists(GROUP, max_size=2),
    "topology": JSON,
}
ASKED = (
    "sagemaker_mpi_enabled",
    "sagemaker_mpi_num_of_processes_per_host",
    "sagemaker_mpi_custom_mpi_options",
    "sagemaker_distribution_instance_groups",
    "sagemaker_container_log_level",
    "sagemaker_region",
    "mp_parameters",
    "lr",
)


@settings(max_examples=300, deadline=None)
@given(
    resource=st.fixed_dictionaries({}, optional=RESOURCE),
    values=st.dictionaries(st.sampled_from(ASKED), JSON | JSON.map(json.dumps), max_size=4),
)
def test_whatever_the_files_hold_is_used_or_refused(
    tmp_path_factory: pytest.TempPathFactory, resource: dict[str, object], values: dict[str, object]
) -> None:
    """Never an exception of another kind, which would be a traceback in the log."""
    base = tmp_path_factory.mktemp("any")
    write(base, "resourceconfig", resource)
    write(base, "hyperparameters", values)
    with contextlib.suppress(LaunchError):
        config = read_config(base)
        choose_mode(config, {})
        Masker(config.hyperparameters)
        log_level(config, {})
        parse_options(config.hyperparameters.get("sagemaker_mpi_custom_mpi_options"))
        training_environment(config, EntryPoint(base, "train.py"), {})
        assert config.current_host in config.hosts
        assert read_cluster(config).size > 0


def test_what_no_variable_can_hold_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_code(tmp_path)
    write(tmp_path, "hyperparameters", {"a=b": "1", "nul": "x\0y", "half": '"\\ud800"', "fine": "ü"})
    config = read_config(tmp_path)
    entry = resolve_entry_point(config, {"SAGEMAKER_PROGRAM": "train.py"})
    names = set(training_environment(config, entry, {}))
    assert "SM_HP_FINE" in names
    assert not names & {"SM_HP_A=B", "SM_HP_NUL", "SM_HP_HALF"}
    assert "SM_HP_NUL" in caplog.text


@pytest.mark.parametrize(
    ("hyperparameters", "mode"),
    [
        ({}, Mode.PLAIN),
        ({"sagemaker_mpi_enabled": "true", "sagemaker_torch_distributed_enabled": "true"}, Mode.MPI),
        ({"sagemaker_mpi_enabled": "False"}, Mode.PLAIN),
        ({"sagemaker_torch_distributed_enabled": "true"}, Mode.TORCHRUN),
        ({"sagemaker_pytorch_ddp_enabled": "true"}, Mode.TORCHRUN),
    ],
)
def test_how_the_job_asks_to_be_launched(tmp_path: Path, hyperparameters: dict[str, str], mode: Mode) -> None:
    write(tmp_path, "hyperparameters", hyperparameters)
    assert choose_mode(read_config(tmp_path), {}) is mode


def test_a_launch_that_is_not_built_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "hyperparameters", {"sagemaker_parameter_server_enabled": "true"})
    with pytest.raises(LaunchError, match="parameter servers is not built yet"):
        choose_mode(read_config(tmp_path), {})


def test_a_function_of_the_image_is_called_but_the_incumbents_is_not(tmp_path: Path) -> None:
    config = read_config(tmp_path)
    assert choose_mode(config, {"SAGEMAKER_TRAINING_MODULE": "mine.training:main"}) is Mode.FUNCTION
    replaced = {"SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main"}
    assert choose_mode(config, replaced) is Mode.PLAIN
    with pytest.raises(LaunchError, match=r"package\.module:function"):
        choose_mode(config, {"SAGEMAKER_TRAINING_MODULE": "mine.training"})
