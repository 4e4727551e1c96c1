from __future__ import annotations

import base64

import pytest

from shardyard.errors import RemoteError
from shardyard.registry.token import parse_host, split


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("password", ["plain", "SWA:x:SWA", "AWSA", "a:b:c", ":x"])
def test_split_keeps_the_whole_password(password: str) -> None:
    assert split(encoded(f"AWS:{password}")) == ("AWS", password)


@pytest.mark.parametrize("token", ["%%%", encoded("no-colon"), encoded("AWS:"), encoded(":x")])
def test_a_broken_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(RemoteError) as caught:
        split(token)
    assert token not in str(caught.value)


def test_hosts() -> None:
    found = parse_host("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0")
    assert found is not None
    assert (found.account, found.region) == ("763104351884", "us-east-1")
    china = parse_host("727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/x:1")
    assert china is not None
    assert china.region == "cn-north-1"
    assert parse_host("debian:12") is None
    assert parse_host("localhost:5000/x") is None
