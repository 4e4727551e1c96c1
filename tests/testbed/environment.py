"""The environment of a command that runs inside."""

from __future__ import annotations

import os

from tests.testbed.settings import BRIDGE_ADDRESS, INSIDE, MOTO_PORT, REGION, Settings

DROPPED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
DOCKER = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def inside(settings: Settings) -> dict[str, str]:
    """The caller's environment, turned to the testbed: its engine, its AWS, its certificates."""
    bundle = str(settings.bundle)
    kept = {k: v for k, v in os.environ.items() if k not in DROPPED + PROXIES + DOCKER}
    return {
        **kept,
        INSIDE: "1",
        "SHARDYARD_CACHE": str(settings.cache),
        "DOCKER_HOST": settings.docker_host,
        "DOCKER_CONFIG": str(settings.folder / "docker-client"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{MOTO_PORT}",
        "SHARDYARD_TESTBED_ENDPOINT": f"http://{BRIDGE_ADDRESS}:{MOTO_PORT}",  # the same moto, for containers
        "AWS_ACCESS_KEY_ID": "testbed",
        "AWS_SECRET_ACCESS_KEY": "testbed",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AWS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
    }
