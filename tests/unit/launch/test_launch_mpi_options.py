from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch.cluster import Cluster
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.mpi_options import flag, mca, merge_options, parse_options
from shardyard_runtime.launch.mpirun import MpiRun, build_command

WORDS = st.text("abcdefghijklmnop_0123456789", min_size=1, max_size=8)


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
        ("-h", "'-h'"),
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
    assert len(warnings) == 2
    assert "`--mca pml ob1` with `-mca pml cm`" in warnings[0]


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
