"""What is submitted: the example, every option there is, and what the SDK refuses by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "pytorch-digits"
REGISTRY = '[registry]\nregion = "us-east-1"\naccount = "123456789012"\n'
RESULTS = "results"
ROLE = 'role = "arn:aws:iam::123456789012:role/SageMakerRole"'

EVERY_OPTION = f"""
[image]
name = "team/every-option"
framework = "tensorflow"
source_dir = "src"
entry_point = "pkg/fit.py"
{REGISTRY}
repository = "elsewhere"
tag = "v1"
[distribution.mpi]
enabled = true
processes_per_host = 4
custom_mpi_options = "-verbose -x NOTE='a b' --NCCL_DEBUG=INFO"
[distribution.smdistributed.modelparallel]
enabled = true
parameters = {{partitions = 2, microbatches = 8, default_partition = 1, auto_partition = false, horovod = true}}
[job]
name = "Größe 1"
instance_type = "ml.p3.8xlarge"
instance_count = 2
{ROLE}
inputs = {{train = "s3://data/a b/train", test = "s3://data/test"}}
output_path = "s3://{RESULTS}/here"
checkpoint_s3_uri = "s3://{RESULTS}/checkpoints"
checkpoint_local_path = "/opt/ml/other"
max_run = 3600
max_wait = 7200
use_spot_instances = true
volume_size = 77
subnets = ["subnet-1", "subnet-2"]
security_group_ids = ["sg-1"]
tags = {{team = "vision", "cost center" = "7"}}
environment = {{MODE = "it's \\"quoted\\""}}
[job.hyperparameters]
rate = 1e-5
steps = 10
text = "8"
flag = true
layers = [64, 32]
nested = {{inner = "$HOME 'single' \\"double\\" \\\\ back\\nline ünï"}}
"""

PAST_THE_SDK = f"""
[image]
name = "past-the-sdk"
{REGISTRY}
[distribution.mpi]
enabled = true
processes_per_host = 8
[distribution.smdistributed.modelparallel]
enabled = true
parameters = {{pipeline_parallel_degree = 2, default_partition = 0, placement_strategy = "TPD", ddp = true}}
[job]
instance_type = "ml.p5.48xlarge"
{ROLE}
"""


def make(name: str, folder: Path) -> Path:
    """The project of this name in a new folder."""
    if name == "example":
        return Path(shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".shardyard", "out")))
    text, script = {
        "every-option": (EVERY_OPTION, "src/pkg/fit.py"),
        "past-the-sdk": (PAST_THE_SDK, "train.py"),
    }[name]
    (folder / script).parent.mkdir(parents=True)
    (folder / script).write_text("print('not run here')\n")
    (folder / "shardyard.toml").write_text(text)
    return folder
