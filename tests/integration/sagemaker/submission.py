"""The printed code, run by the SDK in processes of their own while SageMaker's side of it is played."""

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
LIMIT = 300  # the SDK's import alone takes seconds, and a minute where many things run beside it


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
    iam: Any
    ecr: Any


def clients(environment: dict[str, str]) -> Clients:
    """As the environment says, whatever this process's own is."""
    session = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    made = [
        session.client(name, endpoint_url=environment["AWS_ENDPOINT_URL"])
        for name in ("sagemaker", "logs", "s3", "iam", "ecr")
    ]
    return Clients(*made)


def print_code(project: Path, environment: dict[str, str]) -> str:
    command = [str(Path(sys.executable).with_name("shardyard")), "estimator"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def submit(
    projects: list[Path], interpreter: Path, environment: dict[str, str], aws: Clients
) -> list[Submission]:
    """All at once: most of a submission is the SDK's import and its five seconds of sleep.

    The code stands outside the project, which is uploaded, and runs in the project's folder.
    """
    codes = [print_code(project, environment) for project in projects]
    processes = []
    try:
        for project, code in zip(projects, codes, strict=True):
            processes.append(_start(project, code, interpreter, environment))
        _write_logs(processes, aws)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    jobs = {job["AlgorithmSpecification"]["TrainingImage"]: job for job in _jobs(aws)}
    return [
        Submission(
            project,
            code,
            process.returncode,
            _log(project).read_text(),
            next((job for image, job in jobs.items() if f'"{image}"' in code), None),
        )
        for project, code, process in zip(projects, codes, processes, strict=True)
    ]


def _start(
    project: Path, code: str, interpreter: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    file = project.with_name(f"{project.name}_hand_off.py")
    file.write_text(code, encoding="utf-8")
    subprocess.run([str(interpreter), "-m", "py_compile", str(file)], check=True, timeout=LIMIT)
    with open(_log(project), "wb") as output:
        return subprocess.Popen(
            [str(interpreter), str(file)], cwd=project, env=environment, stdout=output, stderr=output
        )


def _log(project: Path) -> Path:
    return project.with_name(f"{project.name}_hand_off.log")


def _write_logs(processes: list[subprocess.Popen[bytes]], aws: Clients) -> None:
    """Until all have ended: the first host of each job writes a line before the SDK looks, 5 s after creation."""
    give_up = time.monotonic() + LIMIT
    seen = set()
    while any(process.poll() is None for process in processes) and time.monotonic() < give_up:
        for summary in aws.sagemaker.list_training_jobs()["TrainingJobSummaries"]:
            job = summary["TrainingJobName"]
            if job not in seen:
                seen.add(job)
                where = {"logGroupName": LOG_GROUP, "logStreamName": f"{job}/algo-1-1"}
                event = {"timestamp": int(time.time() * 1000), "message": f"{LINE} for {job}"}
                aws.logs.create_log_stream(**where)
                aws.logs.put_log_events(**where, logEvents=[event])
        time.sleep(0.5)


def _jobs(aws: Clients) -> list[dict[str, Any]]:
    made = aws.sagemaker.list_training_jobs()["TrainingJobSummaries"]
    return [aws.sagemaker.describe_training_job(TrainingJobName=one["TrainingJobName"]) for one in made]
