"""Names, addresses and folders of one testbed. Everything it writes lies under one folder of the cache."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
USER_ACCOUNT = "123456789012"  # moto's default account
BASE_ACCOUNT = "763104351884"  # the account that the public base images live in
MOTO_PORT = 5000
RECEIVER_PORT = 5001
WHEELS_PORT = 5002
BRIDGE = "shardyard0"
BRIDGE_ADDRESS = "10.213.0.1"
SIGN_IN_USER = "AWS"
INSIDE = "SHARDYARD_TESTBED"  # set in the environment of every command that runs inside


def ecr_host(account: str) -> str:
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com"


def password(account: str) -> str:
    """The password that moto's `get_authorization_token` gives for an account."""
    return f"{account}-auth-token"


ADDRESSES = {USER_ACCOUNT: "127.0.0.1", BASE_ACCOUNT: "127.0.0.2"}


@dataclass(frozen=True)
class Settings:
    cache: Path

    @property
    def folder(self) -> Path:
        return self.cache / "testbed"

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "docker.sock"

    @property
    def docker_host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def engine_state(self) -> Path:
        return self.folder / "run" / "docker"

    @property
    def cgroup(self) -> str:
        """One name a folder: two testbeds share nothing."""
        return f"shardyard-testbed-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def bundle(self) -> Path:
        return self.certificates / "bundle.pem"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def state(self) -> Path:
        return self.folder / "run" / "state.json"

    @property
    def ready(self) -> Path:
        return self.folder / "run" / "ready"

    def make_folders(self) -> None:
        for folder in (self.folder / "run", self.certificates, self.logs):
            folder.mkdir(parents=True, exist_ok=True)


def load() -> Settings:
    cache = os.environ.get("SHARDYARD_CACHE") or Path.home() / ".cache" / "shardyard"
    return Settings(Path(cache).expanduser().resolve())
