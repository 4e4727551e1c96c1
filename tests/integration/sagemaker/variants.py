"""Projects over both frameworks, whose job requests are compared with those of the SDK."""

from __future__ import annotations

from pathlib import Path

from tests.integration.sagemaker import projects
from tests.integration.sagemaker.projects import REGISTRY, RESULTS, ROLE

ROLE_NAME = "SageMakerByName"
_JOB = f'[job]\ninstance_type = "ml.p4d.24xlarge"\n{ROLE}\n'
_MPI = "[distribution.mpi]\nenabled = true\nprocesses_per_host = 8\n"
_PARALLEL = "[distribution.smdistributed.modelparallel]\nenabled = true\n"


def _toml(name: str, sections: str, image: str = "") -> str:
    return f'[image]\nname = "{name}"\n{image}\n{REGISTRY}\n{sections}'


TENSORFLOW = 'framework = "tensorflow"\n'

WRITTEN = {
    "plain": _toml("plain", _JOB),
    "plain-tensorflow": _toml("plain-tensorflow", f'{_JOB}output_path = "s3://{RESULTS}/tf"', TENSORFLOW),
    "mpi-tensorflow": _toml("mpi-tensorflow", _MPI + _JOB + "max_run = 60", TENSORFLOW),
    "mpi-off": _toml("mpi-off", "[distribution.mpi]\nenabled = false\n" + _JOB),
    "mpi-bare": _toml("mpi-bare", "[distribution.mpi]\nenabled = true\n" + _JOB + "instance_count = 4"),
    "parallel-off": _toml(
        "parallel-off",
        _MPI
        + "[distribution.smdistributed.modelparallel]\nenabled = false\nparameters = {partitions = 2}\n"
        + _JOB,
    ),
    "parallel-tensorflow": _toml(
        "parallel-tensorflow",
        _MPI
        + _PARALLEL
        + 'parameters = {partitions = 4, microbatches = 8, pipeline = "interleaved"}\n'
        + _JOB,
        TENSORFLOW,
    ),
    "data-parallel": _toml(
        "data-parallel",
        "[distribution.smdistributed.dataparallel]\nenabled = true\n"
        f'custom_mpi_options = "-verbose -x A=1"\n{_JOB}instance_count = 2',
    ),
    "data-parallel-tensorflow": _toml(
        "data-parallel-tensorflow",
        f"[distribution.smdistributed.dataparallel]\nenabled = true\n{_JOB}instance_count = 2",
        TENSORFLOW,
    ),
    "spot-by-name": _toml(
        "spot-by-name",
        f"""
        [job]
        role = "{ROLE_NAME}"
        use_spot_instances = true
        checkpoint_s3_uri = "s3://{RESULTS}/spot"
        environment = {{EMPTY = ""}}
        inputs = {{train = "s3://data/train"}}
        hyperparameters = {{none = [], flag = false, big = 123456789012345678, "odd key" = "x"}}
        """,
        'device = "cpu"\n',
    ),
}
_FEEDERS = """
[[job.instance_groups]]
name = "feeders"
instance_type = "ml.c5.18xlarge"
"""
_GROUPS = f"""
[job]
{ROLE}
volume_size = 77
{_FEEDERS}
[[job.instance_groups]]
name = "trainers"
instance_type = "ml.p4d.24xlarge"
instance_count = 2
"""
_CHOSEN = '[distribution]\ninstance_groups = ["trainers"]\n'
WRITTEN["groups"] = _toml(
    "groups", _CHOSEN + _MPI + _PARALLEL + "parameters = {partitions = 2, ddp = true}\n" + _GROUPS
)
WRITTEN["groups-tensorflow"] = _toml("groups-tensorflow", _CHOSEN + _MPI + _GROUPS, TENSORFLOW)
WRITTEN["one-group"] = _toml("one-group", _MPI + _GROUPS.replace(_FEEDERS, ""))
WRITTEN["groups-plain"] = _toml("groups-plain", _GROUPS)
WRITTEN["two-hosts"] = _toml(
    "two-hosts",
    f"""
    [distribution.mpi]
    enabled = true
    processes_per_host = 2
    [distribution.smdistributed.modelparallel]
    enabled = true
    parameters = {{partitions = 2, microbatches = 4, ddp = true}}
    [job]
    instance_type = "ml.c5.xlarge"
    instance_count = 2
    hyperparameters = {{steps = 20}}
    {ROLE}
    """,
    'device = "cpu"\n',
)
_TABLE = "[distribution.smdistributed.modelparallel]"
WRITTEN["options-pytorch"] = (
    projects.EVERY_OPTION.replace('"tensorflow"', '"pytorch"')
    .replace('"team/every-option"', '"options-pytorch"')
    .replace("horovod = true", "ddp = true")
)
WRITTEN["options-tensorflow"] = projects.EVERY_OPTION.replace(
    projects.EVERY_OPTION[projects.EVERY_OPTION.index(_TABLE) : projects.EVERY_OPTION.index("[job]")], ""
).replace('"team/every-option"', '"options-tensorflow"')
NAMES = ("example", "every-option", "past-the-sdk", *WRITTEN)


# What `check` refuses, for the runtime lacks it: only the SDK and the printed code would submit these.
REFUSED = ("every-option", "mpi-bare", "parallel-tensorflow")
LAUNCHED = tuple(name for name in NAMES if name not in REFUSED)


def make(name: str, folder: Path) -> Path:
    """The project of this name in a new folder."""
    if name not in WRITTEN:
        return projects.make(name, folder)
    script = folder / ("src/pkg/fit.py" if "pkg/fit.py" in WRITTEN[name] else "train.py")
    script.parent.mkdir(parents=True)
    script.write_text("print('not run here')\n")
    (folder / "shardyard.toml").write_text(WRITTEN[name])
    return folder
