"""An ECR authorization token to user and password."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from shardyard.errors import RemoteError

_ECR_HOST = re.compile(
    r"^(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|[a-z0-9.-]+)$"
)


def split(token: str) -> tuple[str, str]:
    """base64 of `AWS:<password>`, split at the first colon only: a password may hold colons, and may begin or
    end with the letters of the user's name."""
    try:
        plain = base64.b64decode(token, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise RemoteError("ECR answered with a token that is not base64 text") from error
    user, colon, password = plain.partition(":")
    if not colon or not user or not password:
        raise RemoteError("ECR answered with a token that is not of the form user:password")
    return user, password


@dataclass(frozen=True)
class EcrHost:
    """The account and region in a registry's host name."""

    host: str
    account: str
    region: str


def parse_host(reference: str) -> EcrHost | None:
    """The ECR host of an image reference, None where the image is elsewhere."""
    host = reference.partition("/")[0]
    found = _ECR_HOST.match(host)
    return EcrHost(host, found.group(1), found.group(2)) if found else None
