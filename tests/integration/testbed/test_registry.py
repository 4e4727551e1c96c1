"""A push under the ECR name, with docker-py, as the toolkit does it."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.testbed

PUSH = """
import base64, io, json, sys, tarfile, time, boto3, docker
ecr = boto3.client("ecr")
data = ecr.get_authorization_token()["authorizationData"][0]
user, password = base64.b64decode(data["authorizationToken"]).decode().split(":")
host = data["proxyEndpoint"].removeprefix("https://")
ecr.create_repository(repositoryName="tiny")
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as tar:
    entry = tarfile.TarInfo("hello")
    entry.size = 2
    tar.addfile(entry, io.BytesIO(b"hi"))
client = docker.from_env()
client.api.import_image_from_data(buffer.getvalue(), repository=host + "/tiny", tag="one")

def push(secret):
    error = digest = None
    for line in client.api.push(host + "/tiny", tag="one", stream=True, decode=True,
                                auth_config={"username": user, "password": secret}):
        error = line.get("error", error)
        digest = line.get("aux", {}).get("Digest", digest)
    return error, digest

refused, _ = push("wrong")
error, digest = push(password)
for _ in range(100):
    images = ecr.describe_images(repositoryName="tiny")["imageDetails"]
    if images:
        break
    time.sleep(0.05)
client.images.remove(host + "/tiny:one")
pulled = client.api.pull(host + "/tiny", tag="one", auth_config={"username": user, "password": password})
print(json.dumps({"host": host, "engine": client.version()["Version"], "refused": refused, "error": error,
                  "digest": digest, "images": images, "present": bool(client.images.get(host + "/tiny:one"))},
                 default=str))
"""

LOOK = """
import json, boto3, docker
repositories = boto3.client("ecr").describe_repositories()["repositories"]
image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tiny"
sign_in = {"username": "AWS", "password": "123456789012-auth-token"}
client = docker.from_env()
try:
    held = client.images.get_registry_data(image + ":one", auth_config=sign_in).id
except docker.errors.NotFound:
    held = None
lines = client.api.push(image, tag="one", stream=True, decode=True, auth_config=sign_in)
print(json.dumps([repositories, held, [line.get("status") for line in lines]]))
"""


@pytest.fixture(scope="module")
def pushed(cli):
    cli("up", "--bare")
    return json.loads(cli("exec", "--bare", "--", sys.executable, "-", stdin=PUSH).stdout)


def test_the_registry_answers_as_ecr(pushed):
    assert pushed["engine"]
    assert pushed["host"] == "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def test_a_wrong_password_is_refused(pushed):
    assert "unauthorized" in pushed["refused"]


def test_describe_images_knows_the_pushed_digest(pushed):
    assert pushed["error"] is None
    assert [image["imageDigest"] for image in pushed["images"]] == [pushed["digest"]]
    assert pushed["images"][0]["imageTags"] == ["one"]


def test_what_was_pushed_can_be_pulled(pushed):
    assert pushed["present"]


def test_a_new_testbed_holds_no_image_whose_repository_ecr_does_not_know(pushed, cli):
    """moto forgets. An image that outlived it passed for one whose repository need not be made."""
    cli("down")
    cli("up", "--bare")
    repositories, held, layers = json.loads(
        cli("exec", "--bare", "--", sys.executable, "-", stdin=LOOK).stdout
    )
    assert repositories == []
    assert held is None
    assert "Layer already exists" in layers  # what took long to send is still there
