"""Whose certificates are believed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cache

CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def ca_bundle(env: Mapping[str, str] = os.environ) -> str | None:
    """The first CA bundle that the environment names and that exists."""
    return next((env[name] for name in CA_VARIABLES if env.get(name) and os.path.isfile(env[name])), None)


@cache
def context(bundle: str | None) -> ssl.SSLContext:
    """Believes a bundle, None: what the system believes. Made once: to read it takes a hundredth of a second."""
    return ssl.create_default_context(cafile=bundle)
