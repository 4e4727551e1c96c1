"""AWS Signature Version 4 of a JSON request, as its documentation describes it ("Create a signed AWS API request")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from shardyard.registry.aws.access import Access

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(
    service: str, access: Access, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of a POST to the endpoint, with those that sign it. `now` is UTC."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    address = urlsplit(access.endpoint)
    whole = {**headers, "Host": address.netloc, "X-Amz-Date": moment}
    if access.token:
        whole["X-Amz-Security-Token"] = access.token
    named = {name.lower(): value for name, value in whole.items()}
    names = ";".join(sorted(named))
    lines = [f"{name}:{named[name]}" for name in sorted(named)]
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(["POST", address.path or "/", address.query, *lines, "", names, digest])
    scope = f"{moment[:8]}/{access.region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{access.secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    proof = f"Credential={access.key_id}/{scope}, SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    return {**whole, "Authorization": f"{_ALGORITHM} {proof}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
