"""One signed POST a question, over the connections of the registry client.

In place of botocore's generated client, whose import and models cost more than the push of an edited script. What it
does beyond that and matters here is done: an endpoint of one's own, CA bundle, proxies, retries of what is transient.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from shardyard.errors import RemoteError
from shardyard.registry.aws.access import Access
from shardyard.registry.aws.base import refused
from shardyard.registry.aws.signature import signed
from shardyard.registry.oci.errors import TRANSIENT_STATUS, RegistryError, Transient
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Http, Transport, refusal

_TARGETS = {"ecr": "AmazonEC2ContainerRegistry_V20150921"}
# Said with status 400, and worth another try all the same.
_BUSY = (
    "LimitExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
)


class PlainService:
    """Satisfies Service, for services that speak JSON."""

    def __init__(
        self,
        name: str,
        access: Access,
        transport: Transport | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.region = access.region
        self._name, self._access = name, access
        self._transport, self._patience = transport or Http(), patience or Patience()

    def call(
        self, doing: str, operation: str, arguments: Mapping[str, Any], unless: str = ""
    ) -> dict[str, Any] | None:
        try:
            status, body = self._patience.run(lambda: self._once(operation, arguments))
        except RegistryError as error:
            raise RemoteError(f"cannot {doing}: {error}") from error
        if status == 200:
            return body
        code = _code(body)
        if code == unless:
            return None
        raise refused(doing, code or status, _message(body))

    def _once(self, operation: str, arguments: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        raw = json.dumps(arguments).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGETS[self._name]}.{operation}",
        }
        sent = signed(self._name, self._access, headers, raw, datetime.now(timezone.utc))
        answer = self._transport.send("POST", self._access.endpoint, sent, raw)
        said = refusal(answer)
        try:
            body = json.loads(said)
            if not isinstance(body, dict):
                raise ValueError("no object")
        except ValueError as error:
            text = f"{self._access.endpoint!r} answered {answer.status} with what is no JSON: {said[:200]!r}"
            raise Transient(text, answer.status) from error
        if answer.status in TRANSIENT_STATUS or _code(body) in _BUSY:
            raise Transient(f"AWS said {_code(body) or answer.status}: {_message(body)}", answer.status)
        return answer.status, body


def _code(body: Mapping[str, Any]) -> str:
    return str(body.get("__type") or "").rpartition("#")[2]


def _message(body: Mapping[str, Any]) -> object:
    return body.get("message") or body.get("Message")
