"""The command in this process, against a real registry behind a proxy that can misbehave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from shardyard.cli.main import main
from shardyard.engines.direct import engine
from shardyard.registry.oci.retry import Patience
from tests.integration.direct.fake_ecr import FakeEcr
from tests.integration.direct.faulty import Faulty
from tests.integration.direct.registries import Registry, push_base, repository

TOML = """
[image]
name = "demo"
device = "cpu"
base = "{base}/base:1"
source_dir = "src"
engine = "direct"
[registry]
region = "us-east-1"
account = "123456789012"
"""


@dataclass
class World:
    """A project, the registry it is pushed to, and the proxy before that."""

    folder: Path
    registry: Registry
    proxy: Faulty
    ecr: FakeEcr
    capture: pytest.CaptureFixture[str]
    waits: list[float] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"{self.proxy.host}/demo:latest"

    def ship(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of build-and-push."""
        self.capture.readouterr()
        code = main(["build-and-push", "-p", str(self.folder), *words])
        said = self.capture.readouterr()
        return code, said.out, said.err

    def base_at(self, host: str) -> None:
        (self.folder / "shardyard.toml").write_text(TOML.format(base=host))

    def edit(self, text: str) -> None:
        (self.folder / "src/train.py").write_text(text)

    def pushed(self) -> str | None:
        return repository(self.registry.host, "demo").digest("latest")


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        pytest.skip("not installed: docker-registry. Type: bash scripts/setup-testbed.sh")
    registry = Registry(tmp_path_factory.mktemp("base-registry"))
    push_base(registry.host)
    yield registry
    registry.stop()


@pytest.fixture
def world(
    tmp_path: Path, storage: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    registry = Registry(tmp_path)
    proxy = Faulty(registry.host)
    ecr = FakeEcr(lambda name, tag: repository(registry.host, name).digest(tag), proxy.host)
    made = World(tmp_path / "project", registry, proxy, ecr, capsys)
    (made.folder / "src").mkdir(parents=True)
    made.base_at(storage.host)
    made.edit("print(1)\n")
    monkeypatch.setenv("SHARDYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", ecr.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(engine, "Patience", partial(Patience, attempts=3, sleep=made.waits.append))
    yield made
    for one in (proxy, ecr, registry):
        one.stop()
