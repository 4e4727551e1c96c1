"""As much of ECR's control plane as a push asks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeEcr:
    """`passwords`: one a sign-in, the last one stays. Other questions about images go to `registry`."""

    def __init__(self, registry: Callable[[str, str], str | None], host: str) -> None:
        self.passwords = ["first"]
        self.sign_ins = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                name = self.headers["X-Amz-Target"].rpartition(".")[2]
                said = json.dumps(owner.say(name, asked, registry, host)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def say(
        self, name: str, asked: dict[str, Any], registry: Callable[[str, str], str | None], host: str
    ) -> dict[str, Any]:
        if name == "GetAuthorizationToken":
            self.sign_ins += 1
            held = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
            token = base64.b64encode(f"AWS:{held}".encode()).decode()
            return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": f"http://{host}"}]}
        if name == "DescribeImages":
            digest = registry(asked["repositoryName"], asked["imageIds"][0]["imageTag"])
            return {"imageDetails": [{"imageDigest": digest}] if digest else []}
        return {"repositories": [{"repositoryName": "x"}]}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
