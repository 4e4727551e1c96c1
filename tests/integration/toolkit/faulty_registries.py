"""Runs inside the testbed: the docker engine pushes through registries that misbehave, under ECR's host names.

Each fault has a registry of its own: one proxy, an address and an account, before one real registry. All pushes
run at once, since an engine that tries again waits for seconds in between. Prints the outcomes as JSON.
"""

from __future__ import annotations

import io
import json
import os
import random
import ssl
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker

from shardyard.errors import ShardyardError
from shardyard.registry.oci.blobs import Blobs
from tests.integration.direct.fake_ecr import FakeEcr
from tests.integration.direct.faulty import Faulty
from tests.integration.direct.registries import Registry, repository
from tests.integration.toolkit.host_names import await_names, certificate, known
from tests.integration.toolkit.inside import SHARDYARD
from tests.integration.toolkit.registry_faults import FAULTS, LARGE

GIVE_UP_S = 240
TOML = """
[image]
name = "{name}"
device = "cpu"
base = "{base}"
engine = "docker"
runtime = "image"
[registry]
region = "us-east-1"
account = "{account}"
"""


class World:
    """A registry under an ECR host name of its own, a project, and a base that nobody has pushed before."""

    def __init__(self, number: int, name: str, folder: Path, upstream: str, tls: ssl.SSLContext) -> None:
        self.account = account(number)
        self.host = host(number)
        self.proxy = Faulty(upstream, (address(number), 443), tls)
        self.proxy.host = self.host
        self.name = f"faulty-{name}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.ecr = FakeEcr(lambda repo, tag: repository(upstream, repo).digest(tag), self.host)
        self.base = f"{self.name}-base:1"
        (self.folder / "train.py").write_text("print(1)\n")
        self.stand_on(self.base)

    def stand_on(self, base: str) -> None:
        text = TOML.format(name=self.name, base=base, account=self.account)
        (self.folder / "shardyard.toml").write_text(text)

    def push_elsewhere(self, environment: dict[str, str]) -> None:
        """The same layers into another repository beforehand: the engine then asks to mount them from there."""
        name, self.name = self.name, f"{self.name}-first"
        self.stand_on(self.base)
        code, _, err = self.ship(environment)
        assert code == 0, err
        self.name = name
        self.stand_on(self.base)

    def ship(self, environment: dict[str, str]) -> tuple[int, str, str]:
        env = {**os.environ, **environment, "AWS_ENDPOINT_URL_ECR": self.ecr.url}
        line = [SHARDYARD, "build-and-push", "-p", str(self.folder)]
        try:
            done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=GIVE_UP_S)
        except subprocess.TimeoutExpired as error:
            return -1, "", f"no end within {GIVE_UP_S} s: {(error.stderr or b'').decode()}"
        return done.returncode, done.stdout, done.stderr


def account(number: int) -> str:
    return f"2109876543{number:02}"


def host(number: int) -> str:
    return f"{account(number)}.dkr.ecr.us-east-1.amazonaws.com"


def address(number: int) -> str:
    return f"127.0.1.{number + 1}"


def import_base(client: docker.DockerClient, reference: str, seed: int) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("large")
        info.size = LARGE
        archive.addfile(info, io.BytesIO(random.Random(seed).randbytes(LARGE)))
    name, _, tag = reference.partition(":")
    client.api.import_image_from_data(data.getvalue(), repository=name, tag=tag)


def correct(upstream: str, name: str) -> bool:
    """The registry has an image whose every blob is what its manifest says."""
    at = repository(upstream, name)
    manifest = at.manifest("latest")
    if manifest is None:
        return False
    try:
        for blob in (manifest.config, *manifest.layers):
            for _ in Blobs(at).read(blob):
                pass
    except ShardyardError:
        return False
    return True


def main() -> None:
    client = docker.from_env(timeout=120)
    hosts = {host(number): address(number) for number in range(len(FAULTS))}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tls, upstream = certificate([*hosts], folder), Registry(folder)
        bundle = folder / "bundle.pem"
        bundle.write_bytes(
            Path(os.environ["SSL_CERT_FILE"]).read_bytes() + (folder / "cert.pem").read_bytes()
        )
        trusting = {name: str(bundle) for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")}
        with known(hosts, folder / "cert.pem"):
            worlds = {
                name: World(number, name, folder, upstream.host, tls) for number, name in enumerate(FAULTS)
            }
            for number, world in enumerate(worlds.values()):
                import_base(client, world.base, number)
            await_names(client, host(0))
            worlds["no-mount"].push_elsewhere(trusting)
            for name, world in worlds.items():
                FAULTS[name](world)
            with ThreadPoolExecutor(len(worlds)) as pool:
                ended = list(pool.map(lambda one: one.ship(trusting), worlds.values()))
        outcomes = {
            name: {
                "code": code, "out": out, "err": err, "uri": f"{world.host}/{world.name}:latest",
                "correct": correct(upstream.host, world.name),
                "requests": [[one.method, one.path.partition("_state")[0], one.status] for one in world.proxy.log],
            }
            for (name, world), (code, out, err) in zip(worlds.items(), ended, strict=True)
        }  # fmt: skip
        for image in client.images.list():
            for tag in image.tags:
                if "faulty-" in tag:
                    with suppress(docker.errors.APIError):
                        client.images.remove(tag)
        upstream.stop()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the proxies' threads may still hold connections of the engine
