"""Whose each layer is, from the history that an engine gives."""

from __future__ import annotations

import pytest

from shardyard.engines.base import HistoryLine
from shardyard.errors import ProjectError
from shardyard.image import labels
from shardyard.image.layer_report import layers_of

DOCKERFILE = """FROM builder AS first
RUN make
FROM base
ARG A="1"
RUN apt-get install \\
  git
ADD runtime.tar /
ENV B="2"
ADD code.tar /
"""
SAID = labels.of_build(DOCKERFILE, "sha256:1")
BASE = [HistoryLine("", 100), HistoryLine("ENV X=1", 0), HistoryLine("RUN something", 50)]
NOTE = HistoryLine("LABEL shardyard...", 0)
CLASSIC = [
    HistoryLine("/bin/sh -c #(nop)  ARG A=1", 0),
    HistoryLine("|1 A=1 /bin/sh -c apt-get install git", 20),
    HistoryLine("/bin/sh -c #(nop) ADD file:12 in /", 5),
    HistoryLine("/bin/sh -c #(nop)  ENV B=2", 0),
    HistoryLine("/bin/sh -c #(nop) ADD file:34 in /", 3),
]


def test_base_ours_and_the_projects() -> None:
    found = layers_of([*BASE, *CLASSIC, NOTE], SAID, "a:1")
    assert [(one.whose, one.size_bytes) for one in found] == [
        ("base", 100),
        ("base", 50),
        ("project", 20),
        ("shardyard", 5),
        ("project", 3),
    ]
    assert found[2].created_by == "RUN apt-get install git"


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([*BASE, *CLASSIC, NOTE], {}),
        ([*BASE, *CLASSIC, NOTE], {labels.DOCKERFILE: "no json"}),
        ([*BASE, *CLASSIC, NOTE, HistoryLine("RUN more", 9)], SAID),
        (CLASSIC[-2:], SAID),
    ],
)
def test_an_image_of_another_making_is_refused(history: list[HistoryLine], said: dict[str, str]) -> None:
    with pytest.raises(ProjectError, match="does not say what it was made from"):
        layers_of(history, said, "a:1")
