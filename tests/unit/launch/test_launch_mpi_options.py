from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch.cluster import Cluster
from shardyard_runtime.launch.config import JobConfig
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.host import Host
from shardyard_runtime.launch.mpi_options import flag, mca, merge_options, parse_options
from shardyard_runtime.launch.mpirun import MpiRun, build_command, check_slots

WORDS = st.text("abcdefghijklmnop_0123456789", min_size=1, max_size=8)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(JobConfig(tmp_path, {}, {}), Cluster(("algo-1", "algo-2"), 2), tmp_path)


def test_words_are_split_as_a_shell_does() -> None:
    parsed = parse_options("-x 'GREETING=hello world' --mca btl_tcp_if_include ens5 -verbose --map-by=node")
    assert [option.tokens for option in parsed.options] == [
        ("-x", "GREETING=hello world"),
        ("--mca", "btl_tcp_if_include", "ens5"),
        ("-verbose",),
        ("--map-by=node",),
    ]
    assert parsed.exported == ["GREETING"]


@pytest.mark.parametrize("empty", [None, "", "   "])
def test_nothing_asked_for(empty: str | None) -> None:
    assert parse_options(empty).options == []


@pytest.mark.parametrize("spelling", ["--NCCL_DEBUG=WARN", "--NCCL_DEBUG WARN"])
def test_nccl_debug_is_a_variable(spelling: str) -> None:
    assert parse_options(spelling).environment == {"NCCL_DEBUG": "WARN"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-host a", "'-host'"),
        ("--hostfile f", "'--hostfile'"),
        ("--host=a:2", "'--host=a:2'"),
        ("-h", "'-h', with which mpirun only prints its help"),
        ("--do-not-launch", "starts nothing"),
        ("-x 'A=1", "Close every quotation mark"),
        ("python", "where an option should stand"),
        ("-mca btl", "needs 2 more"),
    ],
)
def test_what_cannot_work_is_refused(text: str, message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        parse_options(text)


def test_the_user_wins_and_is_told() -> None:
    ours = [mca("btl_vader_single_copy_mechanism", "none"), mca("pml", "ob1"), flag("bind-to", "none")]
    users = parse_options("-mca pml cm --mca btl_vader_single_copy_mechanism none -bind-to core").options
    merged, warnings = merge_options(ours, users)
    assert [option.tokens for option in merged] == [
        ("-mca", "pml", "cm"),
        ("--mca", "btl_vader_single_copy_mechanism", "none"),
        ("-bind-to", "core"),
    ]
    assert len(warnings) == 3
    assert "holds anyway: `--mca btl_vader_single_copy_mechanism none`" in warnings[0]
    assert "`--mca pml ob1` with `-mca pml cm`" in warnings[1]


def test_what_the_user_says_twice_counts_once_and_is_told() -> None:
    parsed = parse_options("-mca btl tcp -x A=1 -mca btl self -x A=2")
    assert [option.tokens for option in parsed.options] == [("-mca", "btl", "self"), ("-x", "A=2")]
    assert parsed.warnings == [
        "custom_mpi_options has `-mca btl tcp` and then `-mca btl self`: the last one counts",
        "custom_mpi_options has `-x A=1` and then `-x A=2`: the last one counts",
    ]


def test_names_of_the_platform_keep_the_value_of_their_host() -> None:
    """mpirun has no value for them."""
    parsed = parse_options("-x SM_CURRENT_HOST -x SM_HPS={} -x PATH")
    assert parsed.exported == ["SM_HPS", "PATH"]
    assert [option.tokens for option in parsed.options] == [("-x", "SM_HPS={}"), ("-x", "PATH")]


def test_secrets_leave_the_command_line() -> None:
    parsed = parse_options("-x EPOCHS=3 -x 'HF_TOKEN=a b=c' -x=API_KEY=k -x WANDB_API_KEY")
    assert parsed.take_secrets() == {"HF_TOKEN": "a b=c", "API_KEY": "k"}
    assert [str(option) for option in parsed.options] == [
        "-x EPOCHS=3",
        "-x HF_TOKEN",
        "-x API_KEY",
        "-x WANDB_API_KEY",
    ]
    assert parsed.exported == ["EPOCHS", "HF_TOKEN", "API_KEY", "WANDB_API_KEY"]


@pytest.mark.parametrize("text", ["-N 2", "--npernode 2", "-bynode", "--map-by ppr:1:node"])
def test_one_option_says_where_ranks_go(text: str) -> None:
    merged, _ = merge_options([flag("map-by", "slot")], parse_options(text).options)
    assert len(merged) == 1


@pytest.mark.parametrize(
    ("text", "np", "idle"), [("-np 3", "3", True), ("-n 4", "4", False), ("", None, False)]
)
def test_fewer_processes_than_places(host: Host, text: str, np: str | None, idle: bool) -> None:
    options = parse_options(text)
    warnings = check_slots(host, options)
    assert options.value_of("np") == np
    assert bool(warnings) == idle


@pytest.mark.parametrize("text", ["-np 5", "-np 0", "-np=x", "-np -1"])
def test_more_processes_than_places_are_refused(host: Host, text: str) -> None:
    with pytest.raises(LaunchError, match="1 to 4 are possible"):
        check_slots(host, parse_options(text))


def test_the_hyperparameter_for_all_processes(host: Host) -> None:
    host.config.hyperparameters["sagemaker_mpi_num_processes"] = 3
    options = parse_options("")
    assert check_slots(host, options) == [
        "3 processes are asked for, so some of 2 host(s) with 2 process(es) each stay idle"
    ]
    assert options.value_of("np") == "3"


@given(st.lists(st.tuples(WORDS, WORDS)), st.lists(st.tuples(WORDS, WORDS)))
def test_no_key_is_ever_given_twice(ours: list[tuple[str, str]], users: list[tuple[str, str]]) -> None:
    text = " ".join(f"-mca {name} {value}" for name, value in users)
    merged, _ = merge_options([mca(*pair) for pair in dict(ours).items()], parse_options(text).options)
    keys = [option.key for option in merged]
    assert len(keys) == len(set(keys))
    wanted = {**dict(ours), **dict(users)}
    assert {option.tokens[1]: option.tokens[2] for option in merged} == wanted


@pytest.mark.parametrize("major", [4, 5])
def test_the_command_of_several_hosts(major: int) -> None:
    cluster = Cluster(("algo-1", "algo-2"), 8)
    tool = MpiRun("/usr/bin/mpirun", major)
    user = parse_options("-x A=1")
    command, _ = build_command(tool, cluster, user, Path("/t/ssh_config"), "eth0", "train.py")
    text = " ".join(command)
    assert "--host algo-1:8,algo-2:8" in text
    assert "--np 16" in text
    assert "btl_tcp_if_include eth0" in text
    assert "-x SHARDYARD_EXPORTED=A" in text
    assert "ssh -F /t/ssh_config" in command
    assert ("btl_vader_single_copy_mechanism" in text) == (major == 4)
    assert command[-2:] == ["shardyard_runtime.launch.rank", "train.py"]
