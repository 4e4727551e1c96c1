"""A registry that misbehaves towards the docker engine: each fault ends in a correct image, or in a reason and no
URI. (The direct engine's are in tests/integration/direct/test_faults.py.)"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.integration.toolkit.inside import ROOT, Step, run_inside

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def ended(testbed: tuple[str, ...]) -> dict[str, Any]:
    line = [sys.executable, "-m", "tests.integration.toolkit.faulty_registries"]
    (outcome,) = run_inside(testbed, Step(ROOT, line))
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("fault", ["201-on-patch", "no-mount", "429", "500", "cut", "slow"])
def test_the_image_arrives_whole(ended: dict[str, Any], fault: str) -> None:
    one = ended[fault]
    assert (one["code"], one["out"], one["correct"]) == (0, one["uri"] + "\n", True), one["err"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("expired", "refused the password"),
        ("digest", "but 'sha256:"),
        ("immutable", "tags of this repository are immutable"),
        ("damaged", "verification failed for digest"),
    ],
)
def test_or_the_reason_is_said_and_no_uri(ended: dict[str, Any], fault: str, reason: str) -> None:
    one = ended[fault]
    assert (one["code"], one["out"]) == (4, ""), one
    assert reason in one["err"]
    assert "Traceback" not in one["err"]


def test_the_faults_were_met(ended: dict[str, Any]) -> None:
    seen = {name: [tuple(request) for request in one["requests"]] for name, one in ended.items()}
    assert any(method == "PATCH" and status == 201 for method, _, status in seen["201-on-patch"])
    assert any("mount=" in path and status == 405 for _, path, status in seen["no-mount"])
    for name in ("429", "500"):
        assert any(status == int(name) for _, _, status in seen[name])
    assert sum(method == "PATCH" for method, _, _ in seen["cut"]) > sum(
        method == "PATCH" for method, _, _ in seen["slow"]
    )
