"""Parts of the single host's road that need no process."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch import codeartifact, names, requirements, s3
from shardyard_runtime.launch.config import read_config
from shardyard_runtime.launch.entry import EntryPoint
from shardyard_runtime.launch.errors import LaunchError
from shardyard_runtime.launch.failure import from_last_words
from shardyard_runtime.launch.logs import lines
from shardyard_runtime.launch.modes import Mode, choose_mode
from shardyard_runtime.launch.names import wait_for_names
from shardyard_runtime.launch.neurons import neuron_count
from shardyard_runtime.launch.outcome import Outcome
from shardyard_runtime.launch.records import LIMIT
from shardyard_runtime.launch.torchrun_job import torchrun_command

TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/ml/code/train.py", line 9, in <module>
    main()
    ~~~~^^
  File "/opt/ml/code/train.py", line 5, in main
    step(batch)
torch.cuda.OutOfMemoryError: CUDA out of memory.
Tried to allocate 2 GiB
"""


def test_the_last_traceback_among_the_last_words() -> None:
    words = "step 3: ValueError in no way\n" + TRACEBACK.replace("CUDA", "earlier") + "retrying\n" + TRACEBACK
    record = from_last_words(words, 1, "algo-1", "train.sh")
    assert record.exception == "torch.cuda.OutOfMemoryError"
    assert record.message == "CUDA out of memory.\nTried to allocate 2 GiB"
    assert record.frames[-1] == '  File "/opt/ml/code/train.py", line 5, in main\n    step(batch)'
    assert "~" not in "".join(record.frames)


def test_a_mention_is_no_cause() -> None:
    record = from_last_words("caught ValueError: x, going on\nall is lost", 3, "algo-1", "train.sh")
    assert record.exception == "train.sh ended with exit code 3"
    assert record.frames == ["caught ValueError: x, going on", "all is lost"]


@given(st.lists(st.sampled_from([*TRACEBACK.splitlines(), "noise", "", "Error"]) | st.text(max_size=80)))
def test_any_last_words_make_a_text_that_fits(said: list[str]) -> None:
    text = from_last_words("\n".join(said), 5, "algo-1", "train.sh").summary()
    assert len(text) <= LIMIT
    assert text.startswith("rank 0 on algo-1: ")


class Source:
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = [chunk for chunk in chunks if chunk]

    def read1(self, size: int) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""


@given(st.lists(st.binary(max_size=60)))
def test_lines_lose_nothing_and_end_where_lines_end(chunks: list[bytes]) -> None:
    pieces = list(lines(Source(list(chunks)), bytearray()))  # type: ignore[arg-type]
    assert b"".join(pieces) == b"".join(chunks)
    assert all(piece.endswith((b"\n", b"\r")) for piece in pieces[:-1])


def test_a_text_of_ours_is_taken_back_but_no_other(tmp_path: Path) -> None:
    waiting = Outcome(143, "waiting\n")
    waiting.write(tmp_path)
    waiting.withdraw(tmp_path)
    assert not (tmp_path / "output" / "failure").exists()
    (tmp_path / "output" / "failure").write_text("the program's")
    waiting.withdraw(tmp_path)
    assert (tmp_path / "output" / "failure").read_text() == "the program's"


def test_torchrun_on_several_hosts() -> None:
    command = torchrun_command(["algo-2", "algo-10"], "algo-10", 8, {"RUN_NEURON_PARALLEL_COMPILE": "1"})
    assert command[0] == "neuron_parallel_compile"
    text = " ".join(command)
    assert "--nnodes 2 --nproc_per_node 8 --master_addr algo-2 --master_port 7777 --node_rank 1" in text


def config(base: Path, hyperparameters: dict[str, str], **resource: Any) -> Any:
    folder = base / "input" / "config"
    folder.mkdir(parents=True)
    (folder / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (folder / "resourceconfig.json").write_text(json.dumps(resource))
    return read_config(base)


def test_a_host_outside_the_distribution_runs_plain(tmp_path: Path) -> None:
    groups = [
        {"instance_group_name": name, "instance_type": "t", "hosts": [host]}
        for name, host in (("cpu", "algo-1"), ("gpu", "algo-2"))
    ]
    asked = {"sagemaker_mpi_enabled": "true", "sagemaker_distribution_instance_groups": '["gpu"]'}
    for host, mode in (("algo-1", Mode.PLAIN), ("algo-2", Mode.MPI)):
        given = {"current_host": host, "hosts": ["algo-1", "algo-2"], "instance_groups": groups}
        assert choose_mode(config(tmp_path / host, asked, **given), {}) is mode


def test_without_a_list_of_groups_the_hosts_own_name_counts(tmp_path: Path) -> None:
    asked = {"sagemaker_mpi_enabled": "true", "sagemaker_distribution_instance_groups": "gpu"}
    for group, mode in (("cpu", Mode.PLAIN), ("gpu", Mode.MPI)):
        given = {"current_host": "algo-1", "hosts": ["algo-1"], "current_group_name": group}
        assert choose_mode(config(tmp_path / group, asked, **given), {}) is mode


def test_a_group_that_is_not_there_is_refused(tmp_path: Path) -> None:
    groups = [{"instance_group_name": "gpu", "instance_type": "t", "hosts": ["algo-1"]}]
    asked = {"sagemaker_mpi_enabled": "true", "sagemaker_distribution_instance_groups": '["gpus"]'}
    job = config(tmp_path, asked, current_host="algo-1", hosts=["algo-1"], instance_groups=groups)
    with pytest.raises(LaunchError, match=r"'gpus'.*it has 'gpu'"):
        choose_mode(job, {})


def test_names_are_waited_for_until_they_are_known() -> None:
    asked: list[str] = []

    def resolve(name: str) -> None:
        asked.append(name)
        if asked.count("algo-2") == 1:
            raise socket.gaierror("not yet")

    wait_for_names(["algo-1", "algo-2"], {}, resolve=resolve)
    assert asked == ["algo-1", "algo-2", "algo-2"]
    wait_for_names(["algo-9"], {}, resolve=lambda name: pytest.fail("one host needs no look-up"))

    def never(name: str) -> None:
        raise socket.gaierror("unknown")

    with pytest.raises(LaunchError, match="'algo-1' is not known after 0 s"):
        wait_for_names(["algo-1", "algo-2"], {}, limit=0, resolve=never)


def test_a_name_that_turns_up_is_known_within_100_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(names.time, "sleep", pauses.append)

    def resolve(name: str) -> None:
        if len(pauses) < 50:
            raise socket.gaierror("not yet")

    names.wait_for_names(["algo-1", "algo-2"], {}, resolve=resolve)
    assert len(pauses) == 50
    assert max(pauses) <= 0.1


def test_neurons_of_the_type_that_the_tool_counts_wrongly() -> None:
    assert neuron_count("ml.trn2.48xlarge") == 64
    assert neuron_count("ml.m5.large") == 0


def test_what_the_image_has_installed_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(requirements, "_run", lambda command, *_: (ran.append(command), (0, ""))[1])
    for folder in ("code", "image"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "requirements.txt").write_text("x==1\n")
    entry = EntryPoint(tmp_path / "code", "train.py")
    of_image = tmp_path / "image" / "requirements.txt"
    requirements.install_requirements(entry, {}, of_image)
    assert not ran
    of_image.write_text("x==2\n")
    requirements.install_requirements(entry, {}, of_image)
    assert ran[0][-2:] == ["-r", "requirements.txt"]


class CodeArtifact:
    def get_authorization_token(self, **given: str) -> dict[str, str]:
        assert given == {"domain": "d", "domainOwner": "123456789012"}
        return {"authorizationToken": "a/b+c"}

    def get_repository_endpoint(self, **given: str) -> dict[str, str]:
        assert given["repository"] == "r"
        return {"repositoryEndpoint": "https://d-1.example/pypi/r/"}


def test_codeartifact_is_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "client", lambda service, *_, **options: CodeArtifact())
    arn = "arn:aws:codeartifact:us-west-2:123456789012:repository/d/r"
    assert (
        codeartifact.index_url({"CA_REPOSITORY_ARN": arn})
        == "https://aws:a%2Fb%2Bc@d-1.example/pypi/r/simple/"
    )
    assert codeartifact.index_url({}) == ""
    with pytest.raises(LaunchError, match="CA_REPOSITORY_ARN is 'r'"):
        codeartifact.index_url({"CA_REPOSITORY_ARN": "r"})
