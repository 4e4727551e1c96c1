"""Asking AWS without botocore: the same signature, the same reading of keys, and errors that say the same."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.session
import pytest
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from shardyard.errors import RemoteError
from shardyard.registry.aws.access import Access, plain_access
from shardyard.registry.aws.plain import PlainService
from shardyard.registry.aws.signature import signed
from shardyard.registry.oci.retry import Patience

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/secret"}
PROFILE = "aws_access_key_id = FILE\naws_secret_access_key = file/secret\n"


@given(
    body=st.binary(max_size=60),
    token=st.sampled_from(["", "token/+="]),
    endpoint=st.sampled_from(["https://api.ecr.us-east-1.amazonaws.com", "http://127.0.0.1:5000/some/path"]),
)
def test_the_signature_is_that_of_botocore(body: bytes, token: str, endpoint: str) -> None:
    access = Access("us-east-1", endpoint, "AKIDEXAMPLE", "wJalr/secret", token)
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "A_1.Do"}
    ours = signed("ecr", access, headers, body, datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    request = AWSRequest("POST", endpoint, {**headers, "X-Amz-Date": ours["X-Amz-Date"]}, body)
    request.context["timestamp"] = ours["X-Amz-Date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    theirs = botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", "wJalr/secret", token), "ecr", "us-east-1")
    whole = theirs.canonical_request(request)
    signature = theirs.signature(theirs.string_to_sign(request, whole), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that knows of no AWS, for ourselves and for botocore."""
    (tmp_path / ".aws").mkdir()
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("env", "config", "credentials"),
    [
        (KEYS, "", ""),
        ({**KEYS, "AWS_SESSION_TOKEN": "t"}, "[default]\nregion = eu-west-1\n", ""),
        ({}, "[default]\nregion = eu-west-1\n", f"[default]\n{PROFILE}"),
        ({}, f"[default]\n{PROFILE}aws_session_token = t\nregion = eu-west-1\n", ""),
        ({"AWS_PROFILE": "p"}, "[profile p]\nregion = eu-west-1\n", f"[default]\n[p]\n{PROFILE}"),
        (KEYS, "", f"[default]\n{PROFILE}aws_session_token = t\n"),
        ({}, "[default]\naws_session_token = old\n", f"[default]\n{PROFILE}"),
        ({"AWS_DEFAULT_REGION": "ap-south-1", **KEYS}, "[default]\nregion = eu-west-1\n", ""),
    ],
)
def test_keys_and_region_are_those_that_botocore_finds(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, env: dict[str, str], config: str, credentials: str
) -> None:
    folder = Path(home["HOME"]) / ".aws"
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    ours = plain_access("ecr", None if "region" in config or "AWS_DEFAULT_REGION" in env else "us-west-2")
    session = botocore.session.Session()
    theirs = session.get_credentials()
    assert ours is not None
    assert (ours.key_id, ours.secret, ours.token) == (
        theirs.access_key,
        theirs.secret_key,
        theirs.token or "",
    )
    client = session.create_client("ecr", region_name=session.get_config_variable("region") or "us-west-2")
    assert (ours.region, ours.endpoint) == (client.meta.region_name, client.meta.endpoint_url)


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "eu-central-1", "us-iso-east-1"])
def test_the_address_is_that_of_botocore(home: dict[str, str], region: str) -> None:
    ours = plain_access("ecr", region, {**home, **KEYS})
    theirs = botocore.session.Session().create_client("ecr", region_name=region)
    assert ours is not None
    assert ours.endpoint == theirs.meta.endpoint_url


@pytest.mark.parametrize(
    ("env", "config"),
    [
        ({}, ""),
        ({"AWS_ACCESS_KEY_ID": "half"}, f"[default]\n{PROFILE}"),
        ({"AWS_PROFILE": "missing"}, f"[default]\n{PROFILE}"),
        ({**KEYS, "AWS_USE_FIPS_ENDPOINT": "true"}, ""),
        (KEYS, "[default]\nrole_arn = arn:aws:iam::1:role/x\n"),
        (KEYS, "[default]\nsso_session = x\n"),
        (KEYS, "[default]\ns3 =\n  addressing_style = path\n"),
        (KEYS, "no section\n"),
    ],
)
def test_what_takes_more_is_left_to_botocore(home: dict[str, str], env: dict[str, str], config: str) -> None:
    (Path(home["HOME"]) / ".aws/config").write_text(config)
    assert plain_access("ecr", "us-east-1", {**home, **env}) is None


class Answers:
    """A transport that gives these answers, one after the other."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.asked: list[Mapping[str, str]] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
        self.asked.append(headers)
        status, said = self.answers.pop(0)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        return urllib3.HTTPResponse(data, status=status, preload_content=False)


def asked(*answers: tuple[int, object]) -> tuple[PlainService, Answers]:
    access = Access("us-east-1", "https://e", "AKID", "very-secret", "a-token")
    transport = Answers(*answers)
    return PlainService("ecr", access, transport, Patience(3, sleep=lambda seconds: None)), transport


def test_what_is_transient_is_asked_again() -> None:
    service, transport = asked((500, b"<html>"), (400, {"__type": "ThrottlingException"}), (200, {"a": 1}))
    assert service.call("look", "DescribeImages", {}) == {"a": 1}
    assert transport.asked[0]["X-Amz-Target"] == "AmazonEC2ContainerRegistry_V20150921.DescribeImages"


def test_a_refusal_says_what_aws_said_and_no_secret() -> None:
    denied = {"__type": "com.amazonaws.ecr#AccessDeniedException", "Message": "you may not"}
    service, transport = asked((400, denied))
    with pytest.raises(RemoteError, match=r"^cannot look: AWS said AccessDeniedException: you may not$"):
        service.call("look", "DescribeImages", {}, "ImageNotFoundException")
    assert len(transport.asked) == 1
    assert "very-secret" not in repr(service.__dict__) + str(transport.asked)
    service, _ = asked(*[(503, {"__type": "ServiceUnavailable", "message": "busy"})] * 3)
    with pytest.raises(RemoteError, match="cannot look: AWS said ServiceUnavailable: busy"):
        service.call("look", "DescribeImages", {})


def test_an_expected_error_is_no_answer() -> None:
    service, _ = asked((400, {"__type": "ImageNotFoundException", "message": "no"}))
    assert service.call("look", "DescribeImages", {}, "ImageNotFoundException") is None
