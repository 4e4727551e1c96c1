"""One HTTP exchange with a registry: pooled connections, proxies, certificates, redirects."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from shardyard.registry.oci.errors import RegistryError, Transient
from shardyard.registry.oci.reference import DOCKER_HUB
from shardyard.registry.trust import ca_bundle, context

Body = bytes | Iterable[bytes] | None
Response = urllib3.BaseHTTPResponse
CONNECTIONS = 6
_REDIRECTS = 5
_HUB_API = "registry-1.docker.io"


class Transport(Protocol):
    """Sends one request; the answer's body is not read yet."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Response: ...


class Http:
    """Satisfies Transport. An Authorization header goes to the registry itself, never on to where it
    redirects: object storage refuses a second one, and it is none of its business."""

    def __init__(self, read_timeout_s: float = 120.0) -> None:
        self._timeout = urllib3.Timeout(connect=15, read=read_timeout_s)
        self._pools: dict[tuple[str, str | None], urllib3.PoolManager] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Response:
        sent = dict(headers)
        for _ in range(_REDIRECTS):
            answer = self._once(method, url, sent, body)
            onward = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not onward or method not in ("GET", "HEAD"):
                return answer
            answer.drain_conn()
            target = urljoin(url, onward)
            if urlsplit(target).scheme != "https" and urlsplit(url).scheme == "https":
                raise RegistryError(f"{url} redirects to {urlsplit(target).netloc!r} without encryption")
            if urlsplit(target).netloc != urlsplit(url).netloc:
                sent.pop("Authorization", None)
            url = target
        raise RegistryError(f"{url} redirects in circles")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Response:
        try:
            return self._pool(url).request(
                method, url, headers=headers, body=body, preload_content=False, redirect=False,
                retries=False, timeout=self._timeout,
            )  # fmt: skip
        except (urllib3.exceptions.SSLError, ssl.SSLCertVerificationError) as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise Transient(f"the connection to {urlsplit(url).netloc!r} broke: {error}") from error
            raise RegistryError(
                f"the certificate of {urlsplit(url).netloc!r} is not trusted here: {error}. "
                "Name your CA bundle in SSL_CERT_FILE"
            ) from error
        except urllib3.exceptions.NameResolutionError as error:
            raise RegistryError(f"there is no host {urlsplit(url).netloc!r} in this network") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"the connection to {urlsplit(url).netloc!r} broke: {error}") from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        bypassed = proxy_bypass(parts.hostname or "")
        proxy = None if bypassed else getproxies().get(parts.scheme)
        key = (parts.scheme, proxy)
        if key not in self._pools:
            secure = "https" in (parts.scheme, urlsplit(proxy or "").scheme)
            options = {"maxsize": CONNECTIONS, "ssl_context": context(ca_bundle()) if secure else None}
            self._pools[key] = (
                urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)  # type: ignore[arg-type]
            )
        return self._pools[key]


def body_of(answer: Response, size: int = 1 << 20) -> Iterator[bytes]:
    """The answer's bytes as they come."""
    try:
        yield from answer.stream(size, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Transient(f"the connection broke in the middle of an answer: {error}") from error
    finally:
        answer.close()


def refusal(answer: Response) -> bytes:
    """The body of an answer that says no; empty where it cannot be read. May be asked twice."""
    try:
        return answer.data or b""
    except (urllib3.exceptions.HTTPError, OSError):
        return b""


def api(host: str) -> str:
    """The address of a registry's interface. Plain HTTP only to this very machine, as Docker has it."""
    name = host.rpartition(":")[0] or host
    local = name == "localhost" or name.startswith("127.")
    return f"{'http' if local else 'https'}://{_HUB_API if host == DOCKER_HUB else host}/v2"
