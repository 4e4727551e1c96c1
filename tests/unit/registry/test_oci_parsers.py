"""What comes from outside is parsed or refused, never a crash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard.errors import ProjectError, RemoteError
from shardyard.registry.oci.errors import said
from shardyard.registry.oci.headers import challenges, content_range, retry_after
from shardyard.registry.oci.manifests import DOCKER, ImageManifest, choose
from shardyard.registry.oci.reference import Reference, parse

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_.", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), VALUE, min_size=1, max_size=4)), max_size=3
    )
)
def test_challenges_are_read_as_written(written: list[tuple[str, dict[str, str]]]) -> None:
    header = ", ".join(
        f"{scheme} " + ",".join(f"{name}={quoted(value)}" for name, value in given.items())
        for scheme, given in written
    )
    assert [(one.scheme, one.parameters) for one in challenges(header)] == [
        (scheme.lower(), given) for scheme, given in written
    ]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_challenge_is_survived(header: str) -> None:
    challenges(header)


def test_a_bearer_challenge_without_quotes() -> None:
    (found,) = challenges('Bearer realm="https://a/b?c=1",service=x, scope="repository:a:pull,push"')
    assert found.parameters == {"realm": "https://a/b?c=1", "service": "x", "scope": "repository:a:pull,push"}


@settings(deadline=None)
@given(st.integers(0, 10**15), st.integers(0, 10**9), st.one_of(st.none(), st.integers(1, 10**9)))
def test_ranges_are_read_as_written(first: int, more: int, rest: int | None) -> None:
    last = first + more
    total = None if rest is None else last + rest
    found = content_range(f"bytes {first}-{last}/{'*' if total is None else total}")
    assert found is not None
    assert (found.first, found.last, found.total) == (first, last, total)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_range_is_survived(header: str) -> None:
    found = content_range(header)
    assert found is None or found.first <= found.last


@pytest.mark.parametrize("header", ["bytes 5-4/9", "bytes 0-9/9", "bytes */9", "0-8/9", "bytes 0-8"])
def test_a_range_that_makes_no_sense(header: str) -> None:
    assert content_range(header) is None


@settings(deadline=None)
@given(st.one_of(st.none(), st.text(max_size=20)))
def test_any_retry_after_is_survived(header: str | None) -> None:
    wait = retry_after(header)
    assert wait is None or 0 <= wait <= 120


PART = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}", fullmatch=True)
HOSTS = st.one_of(
    st.sampled_from(["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"]),
    st.tuples(PART, PART).map(lambda two: f"{two[0].replace('_', '')}.{two[1].replace('_', '')}"),
)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@settings(deadline=None)
@given(
    HOSTS, st.lists(PART, min_size=1, max_size=4), st.one_of(st.none(), TAGS), st.one_of(st.none(), DIGESTS)
)
def test_references_are_read_as_written(
    host: str, path: list[str], tag: str | None, digest: str | None
) -> None:
    text = f"{host}/{'/'.join(path)}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    expected = Reference(host, "/".join(path), tag or (None if digest else "latest"), digest)
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_reference_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ProjectError:
        return
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11", "docker.io/library/python:3.11"),
        ("me/x", "docker.io/me/x:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("h:5000/a/b:c", "h:5000/a/b:c"),
    ],
)
def test_short_references(text: str, meant: str) -> None:
    assert str(parse(text)) == meant


@pytest.mark.parametrize("text", ["", "a b", "A/b", "h.x/../y", "x@sha256:12", "x:", "h.x/a:b:c", "h.x//a"])
def test_no_references(text: str) -> None:
    with pytest.raises(ProjectError, match="no image reference"):
        parse(text)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_manifest_is_read_or_refused(raw: bytes) -> None:
    said(raw)
    with pytest.raises(RemoteError):
        ImageManifest.parse(raw, DOCKER)


def test_an_index_without_the_platform_says_what_there_is() -> None:
    raw = b'{"manifests": [{"digest": "d", "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]}'
    assert choose(raw, "linux/arm64") == "d"
    with pytest.raises(ProjectError, match="there is: linux/arm64/v8"):
        choose(raw, "linux/amd64")
