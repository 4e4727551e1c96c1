from __future__ import annotations

import pytest

from shardyard.engines.direct.index import authorization, for_uv, without_password


def test_pips_settings_are_said_to_uv() -> None:
    said = for_uv({"PIP_INDEX_URL": "https://a/simple", "PIP_EXTRA_INDEX_URL": "https://b/simple", "X": "y"})
    assert (said["UV_DEFAULT_INDEX"], said["UV_INDEX"], said["X"]) == (
        "https://a/simple",
        "https://b/simple",
        "y",
    )


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_is_said_to_uv_counts_more(name: str) -> None:
    said = for_uv({"PIP_INDEX_URL": "https://a/simple", name: "https://b/simple"})
    assert said[name] == "https://b/simple"
    assert "https://a/simple" not in (said.get("UV_DEFAULT_INDEX"), said.get("UV_INDEX_URL"))


@pytest.mark.parametrize(
    ("indexes", "header"),
    [
        ({"UV_DEFAULT_INDEX": "https://u:p@index.test/simple"}, "Basic dTpw"),
        ({"UV_INDEX": "https://other.test https://u:p%40@index.test/simple"}, "Basic dTpwQA=="),
        ({"UV_INDEX": "named=https://u:p@index.test/simple"}, "Basic dTpw"),
        ({"UV_DEFAULT_INDEX": "https://u:p@index.test:8443/simple"}, None),
        ({"UV_DEFAULT_INDEX": "https://index.test/simple"}, None),
    ],
)
def test_a_password_goes_to_the_host_that_it_is_of(indexes: dict[str, str], header: str | None) -> None:
    assert authorization("https://index.test/files/x.whl", indexes).get("Authorization") == header


def test_an_address_is_kept_without_its_password() -> None:
    assert without_password("https://u:p@index.test/x.whl#sha256=1") == "https://index.test/x.whl#sha256=1"
    assert without_password("file:///x.whl") == "file:///x.whl"
