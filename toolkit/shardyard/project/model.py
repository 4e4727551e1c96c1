"""shardyard.toml, typed. What a section may hold is what its class lists; anything else is a finding."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from shardyard.project.typed import Before, Limit, Section

FILE_NAME = "shardyard.toml"


_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _one_line(text: str) -> str:
    if not text.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("must be one line of text, without control characters")
    return text


def _one_word(text: str) -> str:
    if any(letter.isspace() for letter in _one_line(text)):
        raise ValueError("must be one word")
    return text


def _package(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.:-]*([=/~][A-Za-z0-9+.:~_-]+)?", text):
        raise ValueError("is no name of a system package")
    return text


_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def _environment(table: dict[str, str]) -> dict[str, str]:
    for name, value in table.items():
        if not re.fullmatch(_VARIABLE, name):
            raise ValueError(f"{name!r} is no name of an environment variable")
        if name in _CREDENTIALS:
            raise ValueError(f"{name} would be readable by everyone who has the image; use the job's role")
        if value:
            _one_line("x" + value)
    return table


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Line = Annotated[str, _one_line]
Word = Annotated[str, _one_word]
AtLeastOne = Annotated[int, Limit("ge", 1)]
_PART = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*"


@dataclass(frozen=True)
class Secret(Section):
    """Something that RUN lines may read and that stays in no layer: a file, or a variable of the environment.
    ``target`` is where they find it, by default ``/run/secrets/NAME``."""

    file: Line | None = None
    env: Annotated[str, Limit("pattern", f"^{_VARIABLE}$")] | None = None
    target: Annotated[str, Limit("pattern", "^/[A-Za-z0-9_./-]+$")] | None = None


def _secrets(table: dict[str, Secret]) -> dict[str, Secret]:
    for name, one in table.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ValueError(f"{name!r} is no name of a secret")
        if (one.file is None) == (one.env is None):
            raise ValueError(f'{name!r} needs one source: {{ file = "..." }} or {{ env = "..." }}')
    return table


@dataclass(frozen=True)
class Image(Section):
    """What goes into the image, and what it stands on."""

    name: Annotated[str, Limit("min_length", 1), Limit("pattern", f"^{_PART}(?:/{_PART})*$")]
    framework: Literal["pytorch", "tensorflow"] = "pytorch"
    framework_version: Word | None = None
    python_version: Word | None = None
    device: Literal["cpu", "gpu"] = "gpu"
    base: Word | None = None
    entry_point: Line = "train.py"
    source_dir: Line = "."
    requirements: Line | None = None
    wheelhouse: Line | None = None
    apt: list[Annotated[str, _package]] = field(default_factory=list)
    env: Annotated[dict[str, str], _environment] = field(default_factory=dict)
    run: list[Line] = field(default_factory=list)
    build_args: Annotated[dict[str, str], _environment] = field(default_factory=dict)
    secrets: Annotated[dict[str, Secret], _secrets] = field(default_factory=dict)
    ca_bundle: Line | None = None
    user: Annotated[str, Limit("pattern", "^([a-z_][a-z0-9_-]{0,30}|[1-9][0-9]{0,8})$")] | None = None
    template: Line | None = None
    platform: Word = "linux/amd64"
    runtime: Literal["bundled", "image"] = "bundled"
    engine: Literal["docker", "direct"] = "docker"


@dataclass(frozen=True)
class Registry(Section):
    """Where the image is pushed to. ``account`` None: that of the credentials. ``scan_on_push`` and
    ``immutable_tags``: how the repository is made when it is not there."""

    region: Word | None = None
    account: Annotated[str, Limit("pattern", r"^\d{12}$"), Before(_digits)] | None = None
    repository: Word | None = None
    tag: Annotated[str, Limit("pattern", "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = "latest"
    scan_on_push: bool = False
    immutable_tags: bool = False


@dataclass(frozen=True)
class ModelParallel(Section):
    enabled: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataParallel(Section):
    enabled: bool = False
    custom_mpi_options: str = ""


@dataclass(frozen=True)
class Smdistributed(Section):
    modelparallel: ModelParallel | None = None
    dataparallel: DataParallel | None = None


@dataclass(frozen=True)
class Mpi(Section):
    enabled: bool = False
    processes_per_host: AtLeastOne | None = None
    custom_mpi_options: str = ""


@dataclass(frozen=True)
class Distribution(Section):
    """The same shape as the ``distribution`` argument of an estimator; ``as_dict`` gives that argument.

    ``instance_groups`` names those of [job] that the training is distributed over.
    """

    smdistributed: Smdistributed = field(default_factory=Smdistributed)
    mpi: Mpi = field(default_factory=Mpi)
    instance_groups: list[Word] = field(default_factory=list)

    @property
    def model_parallel(self) -> ModelParallel | None:
        """The modelparallel block when it is there and enabled."""
        block = self.smdistributed.modelparallel
        return block if block is not None and block.enabled else None


@dataclass(frozen=True)
class InstanceGroup(Section):
    """Instances of one type, in a job whose instances are of several."""

    name: Annotated[str, Limit("pattern", "^[A-Za-z0-9](-?[A-Za-z0-9]){0,63}$")]
    instance_type: Word
    instance_count: AtLeastOne = 1


@dataclass(frozen=True)
class Job(Section):
    """The training job on SageMaker. After loading, ``instance_type`` and ``instance_count`` are those that the
    training is distributed over, also where ``instance_groups`` says what there is."""

    instance_type: str | None = None
    instance_count: AtLeastOne = 1
    instance_groups: list[InstanceGroup] = field(default_factory=list)
    role: str | None = None
    name: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    output_path: str | None = None
    checkpoint_s3_uri: str | None = None
    checkpoint_local_path: str | None = None
    max_run: AtLeastOne | None = None
    max_wait: AtLeastOne | None = None
    use_spot_instances: bool = False
    volume_size: AtLeastOne | None = None
    subnets: list[str] = field(default_factory=list)
    security_group_ids: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run(Section):
    """The job on this machine. After loading, ``hosts`` and ``processes_per_host`` are always set.

    ``gpus`` are the ids (or UUIDs) that the hosts share out among themselves; None: all that are there.
    ``shm_size``, ``ulimits`` and ``ipc`` are of containers: -1 means no limit.
    """

    engine: Literal["docker", "process"] = "docker"
    hosts: AtLeastOne | None = None
    processes_per_host: AtLeastOne | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    output: Line | None = None
    checkpoints: Line | None = None
    timeout: Annotated[float, Limit("gt", 0)] | None = None
    pull: Literal["always", "missing", "never"] | None = None
    gpus: list[Word] | None = None
    shm_size: Annotated[str, Limit("pattern", "^[1-9][0-9]*[bkmgBKMG]?$")] | None = None
    ulimits: dict[str, Annotated[int, Limit("ge", -1)]] = field(default_factory=dict)
    ipc: Literal["private", "host"] = "private"


@dataclass(frozen=True)
class Project(Section):
    """A whole project; relative paths in it are relative to ``root``, the folder of shardyard.toml."""

    root: Path
    image: Image
    registry: Registry = field(default_factory=Registry)
    distribution: Distribution = field(default_factory=Distribution)
    job: Job = field(default_factory=Job)
    run: Run = field(default_factory=Run)

    def path(self, value: str) -> Path:
        """A path of the project file as an absolute one."""
        return (self.root / os.path.expanduser(value)).absolute()

    @property
    def source_dir(self) -> Path:
        return self.path(self.image.source_dir)

    @property
    def local_tag(self) -> str:
        """The tag of the image on this machine: ``name:tag``."""
        return f"{self.image.name}:{self.registry.tag}"
