"""Which package indexes this machine uses, and their passwords, which are kept apart from every address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3

# uv does not read pip's names, which are what people have set.
_OF_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}
_OWN = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
_OLD = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}


def for_uv(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, pip's settings said in uv's names; what is said to uv itself counts more."""
    said = {
        ours: environment[pips]
        for pips, ours in _OF_PIP.items()
        if environment.get(pips) and not environment.get(_OLD.get(ours, ours))
    }
    return {**said, **environment}


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def authorization(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The header for a file of an index: the user and password that the index's own address has."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    for name in _OWN:
        for index in environment.get(name, "").split():
            parts = urlsplit(index.partition("=")[2] if "=" in index.partition("://")[0] else index)
            user, at, there = parts.netloc.rpartition("@")
            if at and there == host:
                made = urllib3.make_headers(basic_auth=unquote(user))
                return {"Authorization": made["authorization"]}
    return {}
