"""`shardyard launch`, run as a command against a SageMaker and a CloudWatch that the test plays."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardyard.api.launch import launch
from tests.integration.sagemaker import variants
from tests.integration.sagemaker.played_aws import WAIT_S, PlayedAws, played

COMMAND = [str(Path(sys.executable).with_name("shardyard")), "launch"]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/any:1"


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[PlayedAws]:
    with played(tmp_path) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return variants.make("plain", tmp_path / "plain")


class Command:
    """A running `shardyard launch`; its output is there line by line, as it comes."""

    def __init__(self, project: Path, aws: PlayedAws, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--image", IMAGE, *flags],
            cwd=project,
            env=aws.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()  # None: there will be no more
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self) -> str:
        line = self._lines.get(timeout=WAIT_S)
        assert line is not None, self.end()
        return line

    def end(self) -> tuple[int, list[str], str]:
        """Exit code, the lines not yet taken, standard error."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code, [line for line in self._lines.queue if line is not None], errors


def done(project: Path, environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *flags], cwd=project, env=environment, capture_output=True, text=True, timeout=WAIT_S
    )


def test_the_log_comes_as_it_is_written_and_whole(aws: PlayedAws, project: Path) -> None:
    command = Command(project, aws, "--wait")
    name = command.line()
    assert name == aws.only_job()
    aws.write(name, "algo-1", "[1,0]<stdout>:first")
    assert command.line() == "algo-1 | [1,0]<stdout>:first"  # while the job runs
    aws.write(name, "algo-2", "[1,1]<stdout>:other host", "two\nlines")
    assert [command.line() for _ in range(3)] == [
        "algo-2 | [1,1]<stdout>:other host",
        "algo-2 | two",
        "algo-2 | lines",
    ]
    aws.end(name, "Completed")
    time.sleep(3)
    aws.write(name, "algo-1", *(f"late {i}" for i in range(12_000)))  # more than one page, after the end
    code, rest, errors = command.end()
    assert code == 0, errors
    assert rest[:-1] == [f"algo-1 | late {i}" for i in range(12_000)]
    assert rest[-1] == f"model_uri={aws.job(name).model_artifacts['S3ModelArtifacts']}"


def test_without_wait_there_is_the_name_alone(aws: PlayedAws, project: Path) -> None:
    made = done(project, aws.environment, "--image", IMAGE)
    assert (made.returncode, made.stdout) == (0, f"{aws.only_job()}\n")
    assert IMAGE in made.stderr


def test_a_failed_job_says_why(aws: PlayedAws, project: Path) -> None:
    command = Command(project, aws, "--wait")
    name = command.line()
    aws.write(name, "algo-1", "Traceback")
    aws.end(name, "Failed", "AlgorithmError: ZeroDivisionError in rank 3")
    code, lines, errors = command.end()
    assert code == 1
    assert lines == ["algo-1 | Traceback"]  # and no model, for there is none
    assert f"the job {name} failed: AlgorithmError: ZeroDivisionError in rank 3" in errors


def test_json_is_one_document_and_the_log_goes_elsewhere(aws: PlayedAws, project: Path) -> None:
    command = Command(project, aws, "--wait", "--json")
    name = aws.only_job()
    aws.write(name, "algo-1", "hello")
    aws.end(name, "Failed", "because")
    code, lines, errors = command.end()
    told = json.loads("\n".join(lines))
    assert code == 1
    assert (told["job_name"], told["status"], told["reason"]) == (name, "Failed", "because")
    assert told["image_uri"] == IMAGE
    assert "algo-1 | hello" in errors


def test_an_interrupt_leaves_the_job_alone(aws: PlayedAws, project: Path) -> None:
    command = Command(project, aws, "--wait")
    name = command.line()
    aws.write(name, "algo-1", "running")
    command.line()
    command.process.send_signal(signal.SIGINT)
    code, _, errors = command.end()
    assert code == 130
    assert f"aws sagemaker stop-training-job --region us-east-1 --training-job-name {name}" in errors
    assert aws.job(name).training_job_status == "InProgress"


def test_an_interrupt_stops_the_job_when_asked(aws: PlayedAws, project: Path) -> None:
    command = Command(project, aws, "--wait", "--stop-on-interrupt")
    name = command.line()
    aws.write(name, "algo-1", "running")
    command.line()
    command.process.send_signal(signal.SIGINT)
    give_up = time.monotonic() + WAIT_S
    while aws.job(name).training_job_status != "Stopping" and time.monotonic() < give_up:
        time.sleep(0.05)
    aws.write(name, "algo-1", "saved what there was")
    aws.end(name, "Stopped")
    code, lines, errors = command.end()
    assert code == 1
    assert lines[0] == "algo-1 | saved what there was"  # once: nothing of before comes again
    assert f"the job {name} stopped" in errors


def test_what_check_refuses_is_not_submitted(aws: PlayedAws, tmp_path: Path) -> None:
    made = done(variants.make("mpi-bare", tmp_path / "bare"), aws.environment, "--image", IMAGE)
    assert (made.returncode, made.stdout) == (2, "")
    assert "processes_per_host" in made.stderr
    assert aws.jobs == {}


def test_a_value_that_boto3_refuses_is_the_projects_fault(aws: PlayedAws, project: Path) -> None:
    file = project / "shardyard.toml"
    file.write_text(file.read_text().replace("arn:aws:iam::123456789012:role/SageMakerRole", "a/b"))
    made = done(project, aws.environment, "--image", IMAGE)
    assert (made.returncode, made.stdout) == (2, "")
    assert "RoleArn" in made.stderr
    assert aws.jobs == {}


def test_without_credentials(aws: PlayedAws, project: Path) -> None:
    bare = {key: value for key, value in aws.environment.items() if "ACCESS_KEY" not in key}
    made = done(project, bare, "--image", IMAGE)
    assert (made.returncode, made.stdout) == (3, "")
    assert "Type: aws configure" in made.stderr


def test_a_role_that_is_not_there(aws: PlayedAws, project: Path) -> None:
    file = project / "shardyard.toml"
    file.write_text(file.read_text().replace("arn:aws:iam::123456789012:role/SageMakerRole", "NoSuchRole"))
    made = done(project, aws.environment, "--image", IMAGE)
    assert (made.returncode, made.stdout) == (4, "")
    assert "'NoSuchRole'" in made.stderr
    assert "[job] role" in made.stderr


def test_an_image_that_was_never_pushed(aws: PlayedAws, project: Path) -> None:
    made = done(project, aws.environment)
    assert (made.returncode, made.stdout) == (4, "")
    assert "Type: shardyard build-and-push" in made.stderr
    assert aws.jobs == {}


def test_the_python_api(aws: PlayedAws, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in aws.environment.items():
        monkeypatch.setenv(key, value)
    made = launch(project, image=IMAGE)
    assert made.job_name == aws.only_job()
    assert made.status is None
