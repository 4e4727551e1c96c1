"""Runs inside the testbed: the docker engine pushes through registries that misbehave, under ECR's host names.

Each fault has a registry of its own: one proxy, an address and an account, before one real registry. All pushes
run at once, since an engine that tries again waits for seconds in between. Prints the outcomes as JSON.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import random
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shardyard.errors import ShardyardError
from shardyard.registry.oci.blobs import Blobs
from tests.integration.direct.faulty import Exchange, FakeEcr, Faulty
from tests.integration.direct.registries import Registry, push_base, repository
from tests.integration.toolkit.inside import SHARDYARD

GIVE_UP_S = 240
LARGE = 3 << 20  # beyond several chunks, so that it can be cut in the middle
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
Plant = Callable[["World"], None]


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


def upload_answered(status: int) -> Plant:
    """One upload is answered with this status in the registry's place."""

    def plant(world: World) -> None:
        left = [None]

        def before(exchange: Exchange) -> bool:
            if not exchange.is_upload() or not left:
                return False
            left.pop()
            return world.proxy.answer(exchange, status, {}, b"not now")

        world.proxy.before = before

    return plant


def created_on_patch(world: World) -> None:
    def after(exchange: Exchange) -> bool:
        if exchange.method == "PATCH":
            exchange.status = 201
        return False

    world.proxy.after = after


def expired(world: World) -> None:
    """From the first bytes of a layer on, the password is no longer good."""

    def before(exchange: Exchange) -> bool:
        if exchange.method == "PATCH":
            world.proxy.password = "another"
            return world.proxy.answer(exchange, 401, {"Www-Authenticate": 'Basic realm="x"'}, b"expired")
        return False

    world.proxy.before = before


def cut(world: World) -> None:
    world.proxy.cuts = [("up", LARGE // 2)]


def slow(world: World) -> None:
    world.proxy.pace = lambda size: time.sleep(size / (2 << 20))


def other_digest(world: World) -> None:
    """The registry names another digest for what lies under the tag."""

    def after(exchange: Exchange) -> bool:
        if exchange.method == "HEAD" and "/manifests/" in exchange.path:
            exchange.headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        return False

    world.proxy.after = after


def no_mount(world: World) -> None:
    """The engine asks to mount layers that it has pushed elsewhere."""

    def before(exchange: Exchange) -> bool:
        return "mount=" in exchange.path and world.proxy.answer(exchange, 405, {}, b"no")

    world.proxy.before = before


def immutable(world: World) -> None:
    """What ECR's registry says to a tag that exists, and may not move."""
    said = {"code": "TAG_INVALID", "message": "The image tag 'latest' already exists in the 'x' repository and "
            "cannot be overwritten because the repository is immutable."}  # fmt: skip

    def before(exchange: Exchange) -> bool:
        if exchange.method == "PUT" and "/manifests/" in exchange.path:
            kind = {"Content-Type": "application/json"}
            return world.proxy.answer(exchange, 400, kind, json.dumps({"errors": [said]}).encode())
        return False

    world.proxy.before = before


def damaged(world: World) -> None:
    """The base's layers come with wrong bytes."""
    push_base(world.proxy.upstream, f"{world.name}-base")
    world.stand_on(f"{world.host}/{world.name}-base:1")

    def before(exchange: Exchange) -> bool:
        if exchange.is_blob():
            size = len(repository(world.proxy.upstream, f"{world.name}-base").manifest("1").raw)  # type: ignore[union-attr]
            return world.proxy.answer(exchange, 200, {}, bytes(size))
        return False

    world.proxy.before = before


FAULTS: dict[str, Plant] = {
    "201-on-patch": created_on_patch,
    "no-mount": no_mount,
    "expired": expired,
    "429": upload_answered(429),
    "500": upload_answered(500),
    "cut": cut,
    "digest": other_digest,
    "slow": slow,
    "immutable": immutable,
    "damaged": damaged,
}


def certificate(names: list[str], folder: Path) -> ssl.SSLContext:
    """A certificate that signs itself: cert.pem and key.pem."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "faulty registries")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return tls


@contextmanager
def known(hosts: dict[str, str], cert: Path) -> Iterator[None]:
    """Host names and certificates, in the testbed's own files."""
    assert os.environ["SHARDYARD_TESTBED"], "only inside the testbed: /etc/hosts is this machine's elsewhere"
    file = Path("/etc/hosts")
    before = file.read_text()
    file.write_text(before + "".join(f"{where} {name}\n" for name, where in hosts.items()))
    for name in hosts:
        folder = Path("/etc/docker/certs.d") / name
        folder.mkdir()
        (folder / "ca.crt").write_bytes(cert.read_bytes())
    try:
        yield
    finally:
        file.write_text(before)


def await_names(client: docker.DockerClient, name: str) -> None:
    """The engine reads /etc/hosts anew after some seconds only."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        try:
            client.api.pull(f"{name}/nothing", tag="here")
        except docker.errors.APIError as error:
            if "lookup" not in str(error):
                return
        time.sleep(0.2)
    raise RuntimeError(f"the engine does not find {name}")


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
