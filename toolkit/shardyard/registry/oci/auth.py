"""Signing in: basic at once where there is a password, a bearer token where the registry asks for one."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import urllib3

from shardyard.engines.base import Credentials, wrong_password
from shardyard.registry.oci.errors import RegistryError, Transient, said
from shardyard.registry.oci.headers import Challenge, challenges
from shardyard.registry.oci.transport import Body, Response, Transport, api, refusal

SignIn = Callable[[], Credentials | None]
_REPOSITORY = re.compile(r"/v2/(.+?)/(?:blobs|manifests|tags)/")


def nobody() -> None:
    """A sign-in for registries that let everyone read."""


class Authorized:
    """A Transport to one registry that signs in, and does so again when the password or token expired."""

    def __init__(
        self, inner: Transport, host: str, sign_in: SignIn, first: Credentials | None = None
    ) -> None:
        self._inner, self._host, self._sign_in = inner, host, sign_in
        self._netloc = urlsplit(api(host)).netloc
        self._credentials = first
        self._signed_in = first is not None
        self._bearer: dict[str, str] = {}
        self._lock = threading.Lock()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Response:
        if urlsplit(url).netloc != self._netloc:  # an upload's address may lie elsewhere
            return self._inner.send(method, url, headers, body)
        scope = _scope(method, url)
        used = self._authorization(scope)
        answer = self._inner.send(method, url, {**headers, **used}, body)
        if not _unauthorized(answer):
            return answer
        reason = refusal(answer)
        self._renew(scope, used, answer.headers.get("WWW-Authenticate", ""))
        if body is not None and not isinstance(body, bytes):
            raise Transient(f"the sign-in at {self._host!r} expired during an upload", answer.status, 0.0)
        answer = self._inner.send(method, url, {**headers, **self._authorization(scope)}, body)
        if _unauthorized(answer):
            text = said(refusal(answer) or reason)[0]
            user = self._credentials.username if self._credentials else "nobody"
            raise RegistryError(
                wrong_password(self._host, f"{answer.status} for user {user!r}: {text}"), answer.status
            )
        return answer

    def _authorization(self, scope: str) -> dict[str, str]:
        with self._lock:
            if not self._signed_in:
                self._credentials, self._signed_in = self._sign_in(), True
            if scope in self._bearer:
                return {"Authorization": f"Bearer {self._bearer[scope]}"}
            return _basic(self._credentials)

    def _renew(self, scope: str, used: dict[str, str], header: str) -> None:
        """New credentials or a new token, unless another thread has got them meanwhile."""
        if self._authorization(scope) != used:
            return
        bearer = next((one for one in challenges(header) if one.scheme == "bearer"), None)
        with self._lock:
            if bearer is None:
                self._credentials = self._sign_in()
                return
            try:
                self._bearer[scope] = self._token(bearer, scope)
            except RegistryError:
                self._credentials = self._sign_in()  # a password may expire as well
                self._bearer[scope] = self._token(bearer, scope)

    def _token(self, challenge: Challenge, scope: str) -> str:
        given = challenge.parameters
        realm = given.get("realm", "")
        if urlsplit(realm).scheme != urlsplit(api(self._host)).scheme and not realm.startswith("https://"):
            raise RegistryError(f"{self._host!r} names {realm!r} as its place to sign in, which is not safe")
        query = [("service", given["service"])] if "service" in given else []
        query += [("scope", one) for one in (scope or given.get("scope", "")).split()]
        address = realm + ("&" if urlsplit(realm).query else "?") + urlencode(query)
        answer = self._inner.send("GET", address, _basic(self._credentials))
        if answer.status != 200:
            text = f"{answer.status} from {urlsplit(realm).netloc!r}: {said(refusal(answer))[0]}"
            if answer.status == 429 or answer.status >= 500:
                raise Transient(f"no token for {self._host!r}: {text}", answer.status)
            raise RegistryError(wrong_password(self._host, text), answer.status)
        try:
            body = json.loads(refusal(answer))
            return str(body.get("token") or body["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise RegistryError(f"{urlsplit(realm).netloc!r} answered without a token") from error


def _basic(held: Credentials | None) -> dict[str, str]:
    if held is None:
        return {}
    made = urllib3.make_headers(basic_auth=f"{held.username}:{held.password}")
    return {"Authorization": made["authorization"]}


def _unauthorized(answer: Response) -> bool:
    """401, or ECR's 403 for a token that is too old."""
    return answer.status == 401 or (answer.status == 403 and b"expired" in refusal(answer))


def _scope(method: str, url: str) -> str:
    """The rights that a request needs, in the words of a token server."""
    parts = urlsplit(url)
    found = _REPOSITORY.search(parts.path)
    if found is None:
        return ""
    rights = "pull" if method in ("GET", "HEAD") else "pull,push"
    others = sorted(f"repository:{one}:pull" for one in parse_qs(parts.query).get("from", ()))
    return " ".join([f"repository:{found[1]}:{rights}", *others])
