"""Reads one of the testbed's registries, as an ECR client would."""

from __future__ import annotations

import json
import ssl
import urllib.request
from base64 import b64encode
from dataclasses import dataclass

from tests.testbed.settings import SIGN_IN_USER, Settings, ecr_host, password

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class RegistryClient:
    settings: Settings
    account: str

    def manifest(self, repository: str, reference: str, kind: str = MANIFEST) -> tuple[str, str]:
        """A manifest's text, byte for byte, and its digest."""
        return self._get(f"{repository}/manifests/{reference}", kind)

    def repositories(self) -> list[str]:
        return json.loads(self._get("_catalog")[0])["repositories"] or []

    def tags(self, repository: str) -> list[str]:
        return json.loads(self._get(f"{repository}/tags/list")[0])["tags"] or []

    def _get(self, path: str, kind: str = "application/json") -> tuple[str, str]:
        request = urllib.request.Request(f"https://{ecr_host(self.account)}/v2/{path}")
        token = b64encode(f"{SIGN_IN_USER}:{password(self.account)}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        request.add_header("Accept", kind)
        context = ssl.create_default_context(cafile=str(self.settings.bundle))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.read().decode(), answer.headers.get("Docker-Content-Digest", "")
