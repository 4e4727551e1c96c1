"""Jobs with MPI. Of each rank, both launchers must make the same."""

from __future__ import annotations

import json

from tests.integration.parity.containers import COMMAND, PYTHON, MpiTree

GROUPS = [
    {"instance_group_name": "all", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1", "algo-2"]},
]
VALUES = {
    "lr": "0.1",
    "words": json.dumps("two words, $HOME and it's"),
    "mp_parameters": '{"microbatches": 4, "ddp": true}',
    "layers": "[1, 2]",
    "none": "null",
}
PACKAGE = {"code/setup.py": "from setuptools import setup\nsetup(name='train', py_modules=['train'])\n"}

# In every `make test`.
FEW = [
    MpiTree("one host", values=VALUES),
    MpiTree("two hosts", hosts=2, values={"x": "1"}),
    MpiTree("two hosts, one process each", hosts=2, per_host=1, environment={"MY_VARIABLE": "a b $c 'd'"}),
    MpiTree("a shell script", environment={"SAGEMAKER_PROGRAM": "go.sh"}, files={"code/go.sh": COMMAND}),
]
# In `make soak-launch`, with their ends: the incumbent takes half a minute and more for each.
MANY = [
    *FEW,
    MpiTree("four ranks", per_host=4),
    MpiTree("ten ranks and more", per_host=11),
    MpiTree(
        "a program deep", environment={"SAGEMAKER_PROGRAM": "src/go.py"}, files={"code/src/go.py": PYTHON}
    ),
    MpiTree("another command", environment={"SAGEMAKER_PROGRAM": "go"}, files={"code/go": COMMAND}),
    MpiTree("groups", hosts=2, resource={"current_group_name": "all", "instance_groups": GROUPS}),
    MpiTree(
        "a chosen group",
        hosts=2,
        values={"sagemaker_distribution_instance_groups": '["all"]'},
        resource={"current_group_name": "all", "instance_groups": GROUPS},
    ),
    MpiTree("an instance type", resource={"current_instance_type": "ml.c5.xlarge"}),
    MpiTree("exported", values={"sagemaker_mpi_custom_mpi_options": '"-x MINE=1 --NCCL_DEBUG=TRACE"'}),
    MpiTree("fewer ranks", hosts=2, values={"sagemaker_mpi_num_processes": "3"}, idle=1),
    MpiTree("by node", hosts=2, values={"sagemaker_mpi_custom_mpi_options": '"-map-by node"'}),
    MpiTree("credentials", environment={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
    MpiTree(
        "channels",
        hosts=2,
        files={"input/config/inputdataconfig.json": '{"train": {"TrainingInputMode": "File"}}'},
    ),
    MpiTree(
        "a rank that fails", script=PYTHON + "if int(os.environ['OMPI_COMM_WORLD_RANK']) == 1: sys.exit(17)\n"
    ),
]
