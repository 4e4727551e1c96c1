"""The caller's AWS credentials for scripts that read from S3, as the SDK's local mode passes them."""

from __future__ import annotations

import os
from pathlib import Path

import botocore.session
from botocore.exceptions import BotoCoreError

_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_CONFIGURED = ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_SERVICES = (
    "container-role",
    "iam-role",
)  # of a machine in AWS: elsewhere nobody answers, and that is waited for


def credentials() -> dict[str, str]:
    """Those of the environment, else those of the configured profile; {} where there are none."""
    given = {name: os.environ[name] for name in _NAMES if os.environ.get(name)}
    if given or not (
        any(os.environ.get(name) for name in _CONFIGURED) or Path("~/.aws").expanduser().is_dir()
    ):
        return given
    try:
        session = botocore.session.get_session()
        providers = session.get_component("credential_provider")
        for service in _SERVICES:
            providers.remove(service)
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except BotoCoreError:  # a profile that is not there, a sign-in that is over: the script may not need any
        return {}
    values = (frozen.access_key, frozen.secret_key, frozen.token) if frozen else ()
    return {name: value for name, value in zip(_NAMES, values, strict=False) if value}
