"""Two registries that answer as ECR, one an account, with TLS and a password. Pushes are reported."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.testbed.settings import (
    ADDRESSES,
    RECEIVER_PORT,
    SIGN_IN_USER,
    USER_ACCOUNT,
    Settings,
    ecr_host,
    password,
)


def forget_images(settings: Settings) -> None:
    """moto starts without repositories, so the user's registry starts without images: on ECR an image that
    can be pulled is in a repository that the API knows. The layers stay: a push finds them there."""
    for manifests in list(_storage(settings, USER_ACCOUNT).rglob("_manifests")):
        shutil.rmtree(manifests)


def command(settings: Settings, account: str) -> list[str]:
    folder = settings.folder / "registries" / account
    _storage(settings, account).mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_hashed(password(account)))
    config = folder / "config.yml"
    config.write_text(json.dumps(_config(settings, account), indent=2))  # JSON is YAML
    return ["docker-registry", "serve", str(config)]


def _storage(settings: Settings, account: str) -> Path:
    return settings.folder / "registries" / account / "storage"


def _hashed(secret: str) -> str:
    done = subprocess.run(
        ["htpasswd", "-i", "-Bn", SIGN_IN_USER], input=secret, capture_output=True, text=True, check=True
    )
    return done.stdout


def _config(settings: Settings, account: str) -> dict[str, object]:
    folder = settings.folder / "registries" / account
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(_storage(settings, account))},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": f"{ADDRESSES[account]}:443",
            "host": f"https://{ecr_host(account)}",
            "secret": f"testbed-{account}",
            "tls": {
                "certificate": str(settings.certificates / "server.pem"),
                "key": str(settings.certificates / "server.key"),
            },
        },
        "auth": {"htpasswd": {"realm": "ECR", "path": str(folder / "htpasswd")}},
        "notifications": {
            "endpoints": [
                {
                    "name": "receiver",
                    "url": f"http://127.0.0.1:{RECEIVER_PORT}/{account}",
                    "timeout": "5s",
                    "threshold": 3,
                    "backoff": "1s",
                }
            ]
        },
    }
