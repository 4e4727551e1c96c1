"""More registries under ECR's host names inside the testbed: names, certificates, and an engine that knows them."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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
