from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from shardyard.engines.base import Credentials, Recipe
from shardyard.engines.connect import connect
from shardyard.engines.docker import DockerEngine, refused, split_reference
from shardyard.errors import JobError, MissingError, RemoteError

CREDENTIALS = Credentials("r.example", "AWS", "s3cret")


class FakeApi:
    def __init__(self, events: list[dict[str, Any]], images: dict[str, Any]) -> None:
        self.events, self.images, self.options = events, dict(images), {}
        self.by_id = {facts["Id"]: facts for facts in images.values()}  # stays when its tag moves

    def build(self, **options: Any) -> list[dict[str, Any]]:
        self.options = options
        return self.events

    def push(self, repository: str, **options: Any) -> list[dict[str, Any]]:
        return self.events

    def tag(self, source: str, repository: str, tag: str) -> None:
        self.images[f"{repository}:{tag}"] = self.inspect_image(source)

    def remove_image(self, reference: str) -> None:
        del self.images[reference]

    def inspect_image(self, reference: str) -> Any:
        known = self.by_id | self.images
        if reference not in known:
            raise ImageNotFound("none")
        return known[reference]


class FakeClient:
    def __init__(self, events: list[dict[str, Any]], images: dict[str, Any] | None = None) -> None:
        self.api = FakeApi(events, images or {})


LAYERS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
IMAGES = {"mine:1": {"Id": "sha256:1", "Size": 10, "RootFS": {"Layers": LAYERS}}}


def engine(events: list[dict[str, Any]], images: dict[str, Any] | None = None) -> DockerEngine:
    return DockerEngine(FakeClient(events, images))  # type: ignore[arg-type]


def test_build_passes_platform_and_removes_containers() -> None:
    client = FakeClient([{"stream": "ok\n"}], IMAGES)
    built = DockerEngine(client).build(Recipe(io.BytesIO(), "mine:1", "linux/arm64"))  # type: ignore[arg-type]
    assert built.reference == "mine:1"
    options = client.api.options
    assert (options["platform"], options["rm"], options["network_mode"]) == ("linux/arm64", True, "host")


def test_build_error_names_the_step() -> None:
    failing = engine([{"stream": "Step 2/3 : RUN nope\n"}, {"errorDetail": {"message": "code: 127"}}])
    with pytest.raises(JobError, match="RUN nope") as caught:
        failing.build(Recipe(io.BytesIO(), "mine:1", "linux/amd64"))
    assert caught.value.exit_code == 1


def test_push_error_in_the_stream_raises() -> None:
    refusing = engine([{"errorDetail": {"message": "unauthorized: authentication required"}}], IMAGES)
    with pytest.raises(RemoteError, match="refused the password") as caught:
        refusing.push("mine:1", "r.example/mine:1", CREDENTIALS)
    assert caught.value.exit_code == 4
    assert "s3cret" not in str(caught.value)


def test_push_without_a_digest_raises() -> None:
    with pytest.raises(RemoteError, match="without a digest"):
        engine([{"status": "Pushed", "id": "a" * 12}], IMAGES).push("mine:1", "r.example/m:1", CREDENTIALS)


@pytest.mark.parametrize("before", [None, {**IMAGES["mine:1"], "Id": "sha256:0"}])
def test_a_failed_push_leaves_the_tag_as_it_was(before: dict[str, Any] | None) -> None:
    images = IMAGES | ({"r.example/m:1": before} if before else {})
    client = FakeClient([{"errorDetail": {"message": "no"}}], images)
    with pytest.raises(RemoteError):
        DockerEngine(client).push("mine:1", "r.example/m:1", CREDENTIALS)  # type: ignore[arg-type]
    assert client.api.images.get("r.example/m:1") == before


def test_push_tells_which_layers_were_new() -> None:
    events = [
        {"status": "Layer already exists", "id": "a" * 12},
        {"status": "Pushed", "id": "b" * 12},
        {"aux": {"Digest": "sha256:9"}},
    ]
    pushed = engine(events, IMAGES).push("mine:1", "r.example/m:1", CREDENTIALS)
    assert pushed.digest == "sha256:9"
    assert pushed.uploaded == (LAYERS[1],)


def test_denied_is_not_called_a_wrong_password() -> None:
    assert "ecr:PutImage" in refused("push", "r.example/m:1", "denied: no")
    assert "refused the password" in refused("pull", "r.example/m:1", "no basic auth credentials")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [("a:1", ("a", "1")), ("h:5000/a", ("h:5000/a", "latest")), ("h:5000/a:2", ("h:5000/a", "2"))],
)
def test_split_reference(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


def test_no_engine_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(MissingError, match="unset DOCKER_HOST") as caught:
        connect(timeout=5)
    assert caught.value.exit_code == 3


def test_a_password_is_not_in_a_repr() -> None:
    assert "s3cret" not in repr(CREDENTIALS)
