from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shardyard.errors import RemoteError
from shardyard.project.model import Registry
from shardyard.registry import ecr
from shardyard.registry.settings import Settings, differences, wanted


class Aws:
    """Answers operations by name; an error is raised."""

    region = "us-east-1"

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, []

    def call(self, doing: str, operation: str, arguments: Mapping[str, Any], unless: str = "") -> Any:
        self.asked.append((operation, dict(arguments)))
        answer = self.answers[operation]
        if isinstance(answer, Exception):
            raise RemoteError(f"cannot {doing}: {answer}")
        return answer


def registry(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> tuple[ecr.Ecr, Aws]:
    aws = Aws(**answers)
    monkeypatch.setattr(ecr, "service", lambda *_: aws)
    return ecr.Ecr(None, "210987654321"), aws


def test_a_repository_that_must_not_be_made_here_says_who_can(monkeypatch: pytest.MonkeyPatch) -> None:
    at, _ = registry(monkeypatch, CreateRepository=ValueError("AWS said AccessDeniedException"))
    with pytest.raises(RemoteError) as caught:
        at.create_repository("demo", {})
    assert "in account '210987654321'" in caught.value.message
    assert "aws ecr create-repository --region us-east-1 --repository-name demo" in caught.value.message


def test_every_question_names_the_registrys_account(monkeypatch: pytest.MonkeyPatch) -> None:
    at, aws = registry(
        monkeypatch, DescribeRepositories=None, CreateRepository={"repository": {}}, DescribeImages=None
    )
    assert at.repository("demo") is None
    at.create_repository("demo", wanted(Registry(scan_on_push=True, immutable_tags=True)))
    assert at.catalogued_digest("demo", "1") is None
    assert {arguments["registryId"] for _, arguments in aws.asked} == {"210987654321"}
    assert aws.asked[1][1]["imageTagMutability"] == "IMMUTABLE"
    assert aws.asked[1][1]["imageScanningConfiguration"] == {"scanOnPush": True}


def test_a_repository_that_exempts_some_tags_says_itself_which_it_refuses() -> None:
    assert not Settings.of({"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}).immutable
    assert Settings.of({"imageTagMutability": "IMMUTABLE"}).immutable


def test_what_was_not_asked_for_is_no_difference() -> None:
    strict = Settings(scan_on_push=True, immutable=True)
    assert list(differences(strict, Registry(repository="demo"))) == []
    asked = Registry(repository="demo", scan_on_push=True, immutable_tags=True)
    assert list(differences(strict, asked)) == []
    assert len(list(differences(Settings(False, False), asked))) == 2
