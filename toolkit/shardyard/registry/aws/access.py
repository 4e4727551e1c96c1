"""Keys, region and address where they lie at hand: in the environment, or as `aws configure` writes them.

Anything beyond - a role, SSO, a process or a service that hands out keys, FIPS or dual-stack addresses, retry modes -
is botocore's: it knows them all, and takes a tenth of a second or more to be imported and to read its models.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shardyard.catalog.regions import dns_suffix

_PLAIN = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "output", "cli_pager"}
# What else steers botocore from the environment.
_BEYOND = (
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@dataclass(frozen=True)
class Access:
    """`endpoint` is the address that a service is asked at. No secret shows in a repr."""

    region: str
    endpoint: str
    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def plain_access(service: str, region: str | None, env: Mapping[str, str] = os.environ) -> Access | None:
    """None where it takes botocore to say."""
    profile = env.get("AWS_DEFAULT_PROFILE") or env.get("AWS_PROFILE")
    found = None if any(env.get(one) for one in _BEYOND) else _profile(env, profile or "default")
    if found is None or (profile and not found):
        return None
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        keys = (
            env["AWS_ACCESS_KEY_ID"],
            env["AWS_SECRET_ACCESS_KEY"],
            env.get("AWS_SECURITY_TOKEN") or env.get("AWS_SESSION_TOKEN") or "",
        )
    elif env.get("AWS_ACCESS_KEY_ID") or not {"aws_access_key_id", "aws_secret_access_key"} <= set(found):
        return None
    else:
        keys = (
            found["aws_access_key_id"],
            found["aws_secret_access_key"],
            found.get("aws_session_token", ""),
        )
    place = region or env.get("AWS_DEFAULT_REGION") or found.get("region")
    if not place:
        return None
    endpoint = env.get(f"AWS_ENDPOINT_URL_{service.upper()}") or env.get("AWS_ENDPOINT_URL")
    return Access(place, endpoint or f"https://api.{service}.{place}.{dns_suffix(place)}", *keys)


def _profile(env: Mapping[str, str], name: str) -> dict[str, str] | None:
    """A profile of the two files that the AWS command line keeps; None where there is more in it."""
    home = Path(env.get("HOME") or Path.home())
    places = (
        (env.get("AWS_CONFIG_FILE") or str(home / ".aws/config"), ("default", f"profile {name}")),
        (env.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / ".aws/credentials"), (name,)),
    )
    found: dict[str, str] = {}
    for place, titles in places:
        file = Path(place).expanduser()
        if not file.is_file():
            continue
        from configparser import Error, RawConfigParser  # late: most who set keys have no such file

        parser = RawConfigParser(default_section="")
        try:
            parser.read(file, encoding="utf-8")
        except (Error, UnicodeDecodeError, OSError):
            return None
        for title in titles:
            if title == "default" != name or not parser.has_section(title):
                continue
            values = dict(parser[title])
            if not set(values) <= _PLAIN:
                return None
            if "aws_access_key_id" in values:  # then no key of the other file counts
                found = {name: value for name, value in found.items() if not name.startswith("aws_")}
            found |= values
    return found
