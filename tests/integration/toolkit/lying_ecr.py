"""`python -m tests.integration.toolkit.lying_ecr LIE COMMAND...`: runs the command with an ECR that lies.

Every call goes on to the testbed's AWS, to the account whose registry it names (moto asks the caller's). Of the
answers, one is changed: `password` puts a wrong one into the sign-in token, `digest` gives another digest for every
image in the catalogue; `none` is no lie.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OTHER_DIGEST = "sha256:" + "0" * 64


def changed(lie: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    if (lie, operation) == ("password", "GetAuthorizationToken"):
        for entry in answer["authorizationData"]:
            entry["authorizationToken"] = base64.b64encode(b"AWS:wrong-secret").decode()
    if (lie, operation) == ("digest", "DescribeImages"):
        for image in answer.get("imageDetails", ()):
            image["imageDigest"] = OTHER_DIGEST
    return answer


def account_of(asked: dict[str, Any]) -> str | None:
    """The account whose registry a call names."""
    return asked.get("registryId") or next(iter(asked.get("registryIds", ())), None)


class Handler(BaseHTTPRequestHandler):
    lie = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        owner = account_of(json.loads(body or b"{}"))
        headers |= {"x-moto-account-id": owner} if owner else {}
        request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        said = json.dumps(changed(self.lie, operation, json.loads(said))).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: object) -> None: ...


if __name__ == "__main__":
    Handler.lie, *command = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {**os.environ, "AWS_ENDPOINT_URL_ECR": f"http://127.0.0.1:{server.server_port}"}
    sys.exit(subprocess.run(command, env=env).returncode)
