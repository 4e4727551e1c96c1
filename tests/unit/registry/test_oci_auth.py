"""Signing in: at a token server, again when a token is too old, and never towards another host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import urllib3

from shardyard.engines.base import Credentials
from shardyard.registry.oci.auth import Authorized
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.errors import RegistryError, Transient
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Body, Http

HOST = "registry.test"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="https://tokens.test/t",service="s",scope="repository:r:pull"'}
Script = Callable[[str, str, Mapping[str, str]], urllib3.BaseHTTPResponse]


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(body=body, headers=headers, status=status)


class Scripted:
    """A Transport that answers by a function and keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script, self.asked = script, []  # type: ignore[var-annotated]

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Any:
        self.asked.append((method, url, headers.get("Authorization")))
        return self.script(method, url, headers)


def test_a_token_is_fetched_kept_and_renewed() -> None:
    tokens = iter(("one", "two"))
    good = {"Bearer one"}

    def script(method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        if url.startswith("https://tokens.test"):
            return answer(200, json.dumps({"token": next(tokens)}).encode())
        return answer(200, b"{}") if headers.get("Authorization") in good else answer(401, b"", CHALLENGE)

    inner = Scripted(script)
    transport = Authorized(inner, HOST, lambda: None)
    url = f"https://{HOST}/v2/r/manifests/1"
    assert transport.send("GET", url, {}).status == 200
    assert transport.send("GET", url, {}).status == 200
    assert len(inner.asked) == 4  # refused, token, granted; then granted at once
    assert inner.asked[1][1] == "https://tokens.test/t?service=s&scope=repository%3Ar%3Apull"
    good.clear()
    good.add("Bearer two")
    assert transport.send("GET", url, {}).status == 200


def test_a_mount_asks_for_both_repositories() -> None:
    def script(method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        if url.startswith("https://tokens.test"):
            return answer(200, b'{"access_token": "t"}')
        return answer(201) if headers.get("Authorization") == "Bearer t" else answer(401, b"", CHALLENGE)

    inner = Scripted(script)
    Authorized(inner, HOST, lambda: None).send(
        "POST", f"https://{HOST}/v2/r/blobs/uploads/?mount=d&from=o", {}
    )
    assert "scope=repository%3Ar%3Apull%2Cpush&scope=repository%3Ao%3Apull" in inner.asked[1][1]


def test_ecr_says_expired_with_a_403() -> None:
    held = iter(("old", "new"))
    calls = []

    def sign_in() -> Credentials:
        calls.append(1)
        return Credentials(HOST, "AWS", next(held))

    def script(method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        fresh = urllib3.make_headers(basic_auth="AWS:new")["authorization"]
        return answer(200) if headers.get("Authorization") == fresh else answer(403, b"token has expired")

    transport = Authorized(Scripted(script), HOST, sign_in)
    assert transport.send("GET", f"https://{HOST}/v2/r/blobs/d", {}).status == 200
    assert len(calls) == 2


def test_a_streamed_body_is_sent_again_by_who_has_it() -> None:
    transport = Authorized(Scripted(lambda *_: answer(401)), HOST, lambda: Credentials(HOST, "AWS", "x"))
    with pytest.raises(Transient, match="expired during an upload"):
        transport.send("PATCH", f"https://{HOST}/v2/r/blobs/uploads/1", {}, iter([b"x"]))


def test_an_upload_elsewhere_gets_no_password() -> None:
    inner = Scripted(lambda *_: answer(202))
    Authorized(inner, HOST, lambda: Credentials(HOST, "AWS", "x")).send("PUT", "https://storage.test/u", {})
    assert inner.asked == [("PUT", "https://storage.test/u", None)]


def test_a_token_server_without_encryption_gets_no_password() -> None:
    header = {"WWW-Authenticate": 'Bearer realm="http://tokens.test/t"'}
    transport = Authorized(
        Scripted(lambda *_: answer(401, b"", header)), HOST, lambda: Credentials(HOST, "u", "p")
    )
    with pytest.raises(RegistryError, match="not safe"):
        transport.send("GET", f"https://{HOST}/v2/r/manifests/1", {})


class Redirecting(Http):
    """Http whose single exchanges are scripted."""

    def __init__(self, to: str) -> None:
        super().__init__()
        self.to, self.seen = to, []  # type: ignore[var-annotated]

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Any:
        self.seen.append((url, headers.get("Authorization")))
        return answer(307, b"", {"Location": self.to}) if len(self.seen) == 1 else answer(200, b"blob")


def test_a_redirect_to_storage_drops_the_password() -> None:
    http = Redirecting("https://storage.test/blob?signed")
    http.send("GET", f"https://{HOST}/v2/r/blobs/d", {"Authorization": "Basic x"})
    assert http.seen == [
        (f"https://{HOST}/v2/r/blobs/d", "Basic x"),
        ("https://storage.test/blob?signed", None),
    ]


def test_a_redirect_to_plain_http_is_refused() -> None:
    with pytest.raises(RegistryError, match="without encryption"):
        Redirecting("http://storage.test/blob").send("GET", f"https://{HOST}/v2/r/blobs/d", {})


def test_waits_grow_unless_the_registry_names_one() -> None:
    waits: list[float] = []
    inner = Scripted(lambda *_: answer(503, b"", {} if len(waits) < 2 else {"Retry-After": "9"}))
    repository = Repository(inner, HOST, "r", Patience(attempts=4, first_wait_s=1, sleep=waits.append))
    with pytest.raises(Transient, match="answered 503"):
        repository.digest("1")
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2
    assert waits[2] == 9
