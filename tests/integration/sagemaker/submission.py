"""The printed code, run by the SDK in a process of its own while SageMaker's side of it is played."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LINE = "algo-1 wrote this"


@dataclass(frozen=True)
class Submission:
    """``job`` is what DescribeTrainingJob says; None when no job was made."""

    project: Path
    code: str
    returncode: int
    output: str
    job: dict[str, Any] | None


@dataclass(frozen=True)
class Clients:
    sagemaker: Any
    logs: Any
    s3: Any


def clients(environment: dict[str, str]) -> Clients:
    """As the environment says, whatever this process's own is."""
    session = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    made = [
        session.client(name, endpoint_url=environment["AWS_ENDPOINT_URL"])
        for name in ("sagemaker", "logs", "s3")
    ]
    return Clients(*made)


def print_code(project: Path, environment: dict[str, str]) -> str:
    command = [str(Path(sys.executable).with_name("shardyard")), "estimator"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def submit(project: Path, interpreter: Path, environment: dict[str, str], aws: Clients) -> Submission:
    """The code stands outside the project, which is uploaded, and runs in the project's folder."""
    code = print_code(project, environment)
    file = project.with_name(f"{project.name}_hand_off.py")
    file.write_text(code, encoding="utf-8")
    subprocess.run([str(interpreter), "-m", "py_compile", str(file)], check=True, timeout=60)
    log = file.with_suffix(".log")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(interpreter), str(file)], cwd=project, env=environment, stdout=output, stderr=output
        )
    try:
        job = _job_of(process, code, aws)
        process.wait(90)
    finally:
        process.kill()
        process.wait()
    return Submission(project, code, process.returncode, log.read_text(), job)


def _job_of(process: subprocess.Popen[bytes], code: str, aws: Clients) -> dict[str, Any] | None:
    """The job that the code makes. Its first host writes a line before the SDK, five seconds later, looks."""
    give_up = time.monotonic() + 90
    ended = False
    while not ended and time.monotonic() < give_up:
        ended = process.poll() is not None  # asked first: a job made just before the end counts
        for summary in aws.sagemaker.list_training_jobs()["TrainingJobSummaries"]:
            job = aws.sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"])
            if f'"{job["AlgorithmSpecification"]["TrainingImage"]}"' in code:
                _write_log(job["TrainingJobName"], aws)
                return dict(job)
        time.sleep(0.2)
    return None


def _write_log(job: str, aws: Clients) -> None:
    where = {"logGroupName": LOG_GROUP, "logStreamName": f"{job}/algo-1-1"}
    aws.logs.create_log_stream(**where)
    event = {"timestamp": int(time.time() * 1000), "message": f"{LINE} for {job}"}
    aws.logs.put_log_events(**where, logEvents=[event])
