"""The trees: each a job that a user could submit."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from hypothesis import strategies as st

from tests.integration.parity.seen import REPORT, SHELL
from tests.integration.parity.tree import Tree

PROGRAM = {"sagemaker_program": '"train.py"'}
GROUPS = [
    {"instance_group_name": "cpu", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1", "algo-3"]},
    {"instance_group_name": "gpu", "instance_type": "ml.p4d.24xlarge", "hosts": ["algo-10", "algo-2"]},
]
CHANNEL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def python(name: str, **options: Any) -> Tree:
    """A Python program; `values` are further hyperparameters."""
    values = options.pop("values", {})
    files = {"code/train.py": REPORT, **options.pop("files", {})}
    return Tree(name, files, {**PROGRAM, **values}, **options)


def resource(**values: Any) -> dict[str, Any]:
    return {"current_host": "algo-1", "hosts": ["algo-1"], **values}


def sourcedir(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


SDK = {
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"job-2026"',
    "sagemaker_region": '"us-west-2"',
    "sagemaker_instance_type": '"ml.m5.xlarge"',
    "sagemaker_enable_cloudwatch_metrics": "false",
    "_tuning_objective_metric": '"loss"',
    "default_user_module_name": '"x"',
}

EQUAL = [
    python("bare"),
    python("sdk", values=SDK, environment={"TRAINING_JOB_NAME": "job-2026"}),
    python(
        "types",
        values={"i": "3", "f": "1e-3", "b": "true", "n": "null", "l": "[1, 2]", "d": '{"b": 1, "a": [2]}'},
    ),
    python("raw text", values={"x": "plain text", "y": "False", "z": "{broken", "empty": ""}),
    python(
        "mp parameters",
        values={"mp_parameters": '{"microbatches": 4, "ddp": true, "placement_strategy": "DPT"}'},
    ),
    python("not strings", values={"a": 1, "b": None, "c": True, "d": {"k": "v"}, "e": [1]}),
    python("names", values={"batch-size": "4", "a.b": "1", "UPPER": "2", "ünï": "3", "a b": "4", "": "5"}),
    python("shell words", values={"x": '"$HOME `id` $(id) ; | & * it\'s"', "y": '"a  b"', "z": "end"}),
    python("unicode", values={"x": '"\\u00fc\\u4e2d\\ud83d\\ude00 line\\nbreak\\ttab"'}),
    python("big numbers", values={"x": str(10**30), "y": "1e400", "z": "NaN", "w": "-0.0", "v": "Infinity"}),
    python(
        "channels", channels={"train": CHANNEL, "eval-set": {**CHANNEL, "ContentType": "text/csv"}, "Val": {}}
    ),
    python("channel files", channels={"train": CHANNEL}, files={"input/data/train/a.csv": "1,2\n"}),
    python(
        "typed resource",
        resource=resource(current_instance_type="ml.m5.xlarge", network_interface_name="eth1"),
    ),
    python("one group", resource=resource(current_group_name="cpu", instance_groups=[GROUPS[0]])),
    python(
        "two groups",
        resource=resource(
            hosts=["algo-1", "algo-2", "algo-3", "algo-10"], current_group_name="cpu", instance_groups=GROUPS
        ),
    ),
    python(
        "outside the distribution",
        values={"sagemaker_mpi_enabled": "true", "sagemaker_distribution_instance_groups": '["gpu"]'},
        resource=resource(
            hosts=["algo-1", "algo-2", "algo-3", "algo-10"], current_group_name="cpu", instance_groups=GROUPS
        ),
    ),
    python("many hosts", resource=resource(current_host="algo-2", hosts=["algo-1", "algo-2", "algo-10"])),
    python("topology", resource=resource(topology=[{"hostName": "algo-1", "capacityUnitId": "u"}])),
    python("unknown keys", resource=resource(more={"x": [1]}, current_instance_group="old")),
    python(
        "program variable", environment={"SAGEMAKER_PROGRAM": "other.py"}, files={"code/other.py": REPORT}
    ),
    python(
        "a folder deep", values={"sagemaker_program": '"src/train.py"'}, files={"code/src/train.py": REPORT}
    ),
    python(
        "user variables",
        environment={"MY_VARIABLE": "a b $c 'd'", "SM_HP_X": "stale", "SM_HOSTS": "stale"},
        values={"x": "1"},
    ),
    python(
        "helper module", files={"code/train.py": "import helper\n" + REPORT, "code/helper.py": "word = 1\n"}
    ),
    python("requirements at hand", files={"code/requirements.txt": "pip\n"}),
    Tree(
        "shell",
        {"code/train.sh": SHELL},
        {"sagemaker_program": '"train.sh"', "x": '"a b"', "y": "$HOME it's"},
    ),
    Tree("other command", {"code/run": SHELL}, {"sagemaker_program": '"run"', "x": '"a b"'}),
    Tree(
        "shell beside setup.py",
        {"code/train.sh": SHELL, "code/setup.py": ""},
        {"sagemaker_program": '"train.sh"'},
    ),
    python("failing", files={"code/train.py": REPORT + "\nraise ValueError('no')\n"}),
    python(
        "own reason",
        files={
            "code/train.py": REPORT
            + "\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('x')\nsys.exit(1)\n",
            "output/keep": "",
        },
    ),
    python(
        "output written",
        files={"code/train.py": REPORT + "\nopen(os.environ['SM_MODEL_DIR'] + '/m', 'w').write('w')\n"},
    ),
]

_ARCHIVE = sourcedir({"train.py": REPORT, "lib/__init__.py": ""})
# `@` stands for the tree's own base folder.
SUBMITTED = [
    python(
        "archive",
        files={"input/data/code/sourcedir.tar.gz": _ARCHIVE},
        values={"sagemaker_submit_directory": '"@/input/data/code/sourcedir.tar.gz"'},
    ),
    python(
        "folder",
        files={"input/data/code/train.py": REPORT, "input/data/code/lib/a": "b"},
        values={"sagemaker_submit_directory": '"@/input/data/code"'},
    ),
]
for _tree in SUBMITTED:
    del _tree.files["code/train.py"]

# name of the difference that the tree is made to show -> the tree
DIFFERENT = {
    "last-quotes": python("last quotes", values={"z": json.dumps('say "hi"')}),
    "kept-variables": python(
        "kept", environment={"SAGEMAKER_REGION": "eu-west-1", "SAGEMAKER_JOB_NAME": "mine"}
    ),
    "log-level": python("log level", environment={"SAGEMAKER_CONTAINER_LOG_LEVEL": "30"}),
    "exit-code": python("exit code", files={"code/train.py": REPORT + "\nsys.exit(17)\n"}),
    "python-false": python(
        "false",
        values={"sagemaker_torch_distributed_enabled": "False"},
        resource=resource(
            instance_groups=[
                {"instance_group_name": "homogeneousCluster", "instance_type": "t", "hosts": ["algo-1"]}
            ]
        ),
    ),
    "submitted-wins": python(
        "baked",
        files={"input/data/code/sourcedir.tar.gz": _ARCHIVE},
        values={"sagemaker_submit_directory": '"@/input/data/code/sourcedir.tar.gz"'},
    ),
    "submit-variable": python(
        "variable",
        files={"elsewhere/train.py": REPORT},
        environment={"SAGEMAKER_SUBMIT_DIRECTORY": "@/elsewhere"},
    ),
    "defaults": python("no files", resource=None, channels=None),
    "unsettable": python("unsettable", values={"a=b": "1", "nul": '"x\\u0000y"'}),
}

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0="), min_size=1, max_size=8).filter(
    lambda name: not name.startswith(("sagemaker_", "_tuning", "default_user"))
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def generated(draw: st.DrawFn) -> Tree:
    hosts = draw(
        st.lists(st.from_regex(r"algo-[1-9][0-9]?", fullmatch=True), min_size=1, max_size=4, unique=True)
    )
    values = draw(st.dictionaries(_NAMES, _JSON.map(json.dumps) | _TEXT, max_size=4))
    cut = draw(st.integers(0, len(hosts)))
    groups = [
        {"instance_group_name": f"g{n}", "instance_type": "t", "hosts": part}
        for n, part in enumerate((hosts[:cut], hosts[cut:]))
        if part
    ]
    given = {"current_host": draw(st.sampled_from(hosts)), "hosts": hosts}
    if draw(st.booleans()):
        given |= {
            "instance_groups": groups,
            "current_group_name": draw(st.sampled_from([g["instance_group_name"] for g in groups])),
        }
    if draw(st.booleans()):
        given["network_interface_name"] = draw(st.sampled_from(["eth0", "ethwe", "lo"]))
    channels = draw(st.dictionaries(_NAMES, st.just(CHANNEL), max_size=3))
    platform = draw(st.fixed_dictionaries({}, optional={key: st.just(value) for key, value in SDK.items()}))
    return python("generated", values={**values, **platform}, resource=given, channels=channels)
