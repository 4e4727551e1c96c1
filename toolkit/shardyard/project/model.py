"""shardyard.toml, typed. What a section may hold is what its class lists; anything else is a finding."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

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


def _environment(table: dict[str, str]) -> dict[str, str]:
    for name, value in table.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is no name of an environment variable")
        if name in _CREDENTIALS:
            raise ValueError(f"{name} would be readable by everyone who has the image; use the job's role")
        if value:
            _one_line("x" + value)
    return table


Line = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, AfterValidator(_one_word)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(_Section):
    """What goes into the image, and what it stands on."""

    name: str = Field(
        min_length=1, pattern=r"^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$"
    )
    framework: Literal["pytorch", "tensorflow"] = "pytorch"
    framework_version: Word | None = None
    python_version: Word | None = None
    device: Literal["cpu", "gpu"] = "gpu"
    base: Word | None = None
    entry_point: Line = "train.py"
    source_dir: Line = "."
    requirements: Line | None = None
    wheelhouse: Line | None = None
    apt: list[Annotated[str, AfterValidator(_package)]] = []
    env: Annotated[dict[str, str], AfterValidator(_environment)] = {}
    run: list[Line] = []
    ca_bundle: Line | None = None
    platform: Word = "linux/amd64"
    runtime: Literal["bundled", "image"] = "bundled"
    engine: Literal["docker", "direct"] = "docker"


class Registry(_Section):
    """Where the image is pushed to. ``account`` is the user's own; None: the account of the credentials."""

    region: Word | None = None
    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    repository: Word | None = None
    tag: str = Field(default="latest", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")

    @field_validator("account", mode="before")
    @classmethod
    def _digits(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class ModelParallel(_Section):
    enabled: bool = False
    parameters: dict[str, JsonValue] = {}


class DataParallel(_Section):
    enabled: bool = False
    custom_mpi_options: str = ""


class Smdistributed(_Section):
    modelparallel: ModelParallel | None = None
    dataparallel: DataParallel | None = None


class Mpi(_Section):
    enabled: bool = False
    processes_per_host: int | None = Field(default=None, ge=1)
    custom_mpi_options: str = ""


class Distribution(_Section):
    """The same shape as the ``distribution`` argument of an estimator; ``as_dict`` gives that argument."""

    smdistributed: Smdistributed = Smdistributed()
    mpi: Mpi = Mpi()

    def as_dict(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)

    @property
    def model_parallel(self) -> ModelParallel | None:
        """The modelparallel block when it is there and enabled."""
        block = self.smdistributed.modelparallel
        return block if block is not None and block.enabled else None


class Job(_Section):
    """The training job on SageMaker."""

    instance_type: str | None = None
    instance_count: int = Field(default=1, ge=1)
    role: str | None = None
    name: str | None = None
    inputs: dict[str, str] = {}
    hyperparameters: dict[str, JsonValue] = {}
    environment: dict[str, str] = {}
    output_path: str | None = None
    checkpoint_s3_uri: str | None = None
    checkpoint_local_path: str | None = None
    max_run: int | None = Field(default=None, ge=1)
    max_wait: int | None = Field(default=None, ge=1)
    use_spot_instances: bool = False
    volume_size: int | None = Field(default=None, ge=1)
    subnets: list[str] = []
    security_group_ids: list[str] = []
    tags: dict[str, str] = {}


class Run(_Section):
    """The job on this machine. After loading, ``hosts`` and ``processes_per_host`` are always set."""

    engine: Literal["docker", "process"] = "docker"
    hosts: int | None = Field(default=None, ge=1)
    processes_per_host: int | None = Field(default=None, ge=1)
    inputs: dict[str, str] = {}
    output: Line | None = None
    timeout: float | None = Field(default=None, gt=0)


class Project(_Section):
    """A whole project; relative paths in it are relative to ``root``, the folder of shardyard.toml."""

    root: Path
    image: Image
    registry: Registry = Registry()
    distribution: Distribution = Distribution()
    job: Job = Job()
    run: Run = Run()

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
