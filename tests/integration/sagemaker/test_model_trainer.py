"""The code that `shardyard estimator --sdk v3` prints, submitted by the real ModelTrainer."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import shardyard
from tests.environments.environment import python
from tests.integration.faults.conftest import NewContainerJob
from tests.integration.sagemaker import container, projects, variants
from tests.integration.sagemaker.aws import client_environment, moto, training_job_requests
from tests.integration.sagemaker.submission import LIMIT, clients

NAMES = ("example", "past-the-sdk", "plain", "mpi-tensorflow", "options-tensorflow", "groups", "two-hosts")
HOSTS = ["algo-1", "algo-2"]
SCRIPT = """
import json, os, sys
told = {"arguments": sys.argv[1:], "folder": os.getcwd(), "current": os.environ["SM_CURRENT_HOST"],
        "user_args": os.environ["SM_USER_ARGS"], "driver": "SM_DISTRIBUTED_DRIVER_DIR" in os.environ}
open("/opt/ml/model/told.json", "w").write(json.dumps(told))
sys.exit(int(os.environ.get("LEAVES", "0")))
"""
TRAINS = """
import argparse
import torch
import smdistributed.modelparallel.torch as smp

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int)
steps = parser.parse_known_args()[0].steps
smp.init()
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
model = smp.DistributedModel(net)
optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.05))

@smp.step
def train_step(model, x, y):
    loss = torch.nn.functional.mse_loss(model(x), y)
    model.backward(loss)
    return loss

torch.manual_seed(smp.rdp_rank())
x = torch.randn(16, 8)
losses = []
for _ in range(steps):
    optimizer.zero_grad()
    losses.append(train_step(model, x, x.sum(1, keepdim=True)).reduce_mean().item())
    optimizer.step()
learned = len(losses) == steps and losses[-1] < losses[0] / 2
print(f"TRAINED {smp.rank()} partition {smp.pp_rank()} replica {smp.rdp_rank()} learned {learned};", flush=True)
"""


@dataclass(frozen=True)
class Submitted:
    made: dict[str, Path]
    requests: dict[str, dict[str, Any]]
    s3: Any


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitted]:
    interpreter = python("sagemaker-v3")
    folder = tmp_path_factory.mktemp("v3")
    made = {name: variants.make(name, folder / name) for name in NAMES}
    for name, project in made.items():
        _without_quotes(project / "shardyard.toml")
        for script, owner in ((SCRIPT, "plain"), (TRAINS, "two-hosts")):
            if name == owner:
                (project / "train.py").write_text(script)
    with moto(folder) as endpoint:
        environment = client_environment(endpoint, folder)
        aws = clients(environment)
        aws.s3.create_bucket(Bucket=projects.RESULTS)
        codes = {str(project): shardyard.estimator(project, sdk="v3").code for project in made.values()}
        done = subprocess.run(
            [str(interpreter), str(Path(__file__).with_name("train_worker.py"))],
            input=json.dumps(codes),
            env=environment | {"SAGEMAKER_VALIDATE_ROLE": "false"},  # moto cannot simulate a role's policies
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stderr
        jobs = json.loads(done.stdout.splitlines()[-1])
        asked = training_job_requests(folder)
        requests = {name: asked[jobs[str(project)]] for name, project in made.items()}
        yield Submitted(made, requests, aws.s3)


def _without_quotes(file: Path) -> None:
    """The SDK v3 cannot carry them, and we refuse them: tests/unit/sagemaker/test_model_trainer.py."""
    text = file.read_text()
    for quoted, plain in (("'single'", "single"), ("NOTE='a b'", "NOTE=a"), ("it's", "its")):
        text = text.replace(quoted, plain)
    file.write_text(text)


@pytest.mark.parametrize("name", NAMES)
def test_the_hyperparameters_are_those_of_the_other_hand_offs(submitted: Submitted, name: str) -> None:
    """Those of boto3 equal the SDK v2's: test_request.py."""
    expected = shardyard.estimator(submitted.made[name], sdk="boto3").arguments["HyperParameters"]
    del expected["sagemaker_job_name"]  # known to the SDK alone until it submits
    expected["sagemaker_submit_directory"] = '"/opt/ml/input/data/code"'
    assert submitted.requests[name]["HyperParameters"] == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_rest_of_the_job_is_the_same_too(submitted: Submitted, name: str) -> None:
    expected = shardyard.estimator(submitted.made[name], sdk="boto3").arguments
    request = submitted.requests[name]
    for field in (
        "RoleArn",
        "ResourceConfig",
        "StoppingCondition",
        "Environment",
        "EnableManagedSpotTraining",
        "CheckpointConfig",
        "VpcConfig",
        "Tags",
    ):
        assert request.get(field) == expected.get(field), field
    assert (
        request["AlgorithmSpecification"]["TrainingImage"]
        == expected["AlgorithmSpecification"]["TrainingImage"]
    )
    inputs = {one["ChannelName"]: one["DataSource"] for one in request["InputDataConfig"]}
    assert inputs.keys() - {"code", "sm_drivers"} == {
        one["ChannelName"] for one in expected.get("InputDataConfig", [])
    }
    for one in expected.get("InputDataConfig", []):
        assert inputs[one["ChannelName"]] == one["DataSource"]


def test_the_container_command_runs_the_script_through_the_runtime(
    submitted: Submitted, tmp_path: Path
) -> None:
    done = container.run(submitted.requests["plain"], submitted.s3, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "model" / "told.json").read_text())
    assert told["current"] == container.HOST
    assert (
        json.loads(told["user_args"]) == told["arguments"]
    )  # the SDK v3 sets no SM_USER_ARGS: the runtime's
    assert not told["driver"]


def test_a_script_that_fails_ends_the_container_with_its_code_and_reason(
    submitted: Submitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAVES", "7")
    done = container.run(submitted.requests["plain"], submitted.s3, tmp_path)
    assert done.returncode == 7, done.stdout + done.stderr
    assert (
        "CloudWatch" not in (tmp_path / "output" / "failure").read_text()
    )  # the SDK's words for any failure


def _of_the_platform(request: dict[str, Any], host: str) -> dict[str, str]:
    resources = container.resource_config(request, host, HOSTS, "eth0")
    return {"input/config/resourceconfig.json": json.dumps(resources), "output/data/.made": ""}


@pytest.mark.testbed
def test_the_container_command_trains_on_two_hosts(
    submitted: Submitted, new_container_job: NewContainerJob
) -> None:
    request = submitted.requests["two-hosts"]
    algorithm, channels = request["AlgorithmSpecification"], {}
    for channel in request["InputDataConfig"]:
        place = f"input/data/{channel['ChannelName']}"
        found = container.channel_files(channel["DataSource"]["S3DataSource"]["S3Uri"], submitted.s3)
        channels |= {
            f"{place}/{name}": content.decode()
            for name, content in found.items()
            if not name.endswith(".pyc")
        }
    job = new_container_job(
        "raise SystemExit('the code of the image, not the submitted one')",
        prelude="",
        command=(*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]),
        hyperparameters=request["HyperParameters"],
        environment={"TRAINING_JOB_NAME": request["TrainingJobName"]},
        files={host: channels | _of_the_platform(request, host) for host in HOSTS},
    )
    job.start()
    report = job.finish(240)
    assert set(report.codes.values()) == {0}, report.everything
    said = re.findall(r"TRAINED (\d) partition (\d) replica (\d) learned (\w+);", report.everything)
    assert len(said) == 4, report.everything
    assert {learned for *_, learned in said} == {"True"}
    assert {(partition, replica) for _, partition, replica, _ in said} == {
        (partition, replica) for partition in "01" for replica in "01"
    }
