from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shardyard.errors import MissingError, RemoteError
from shardyard.preflight.aws import Aws
from shardyard.preflight.findings import preflight
from shardyard.preflight.role import trusts
from shardyard.project.findings import Finding, exit_code
from shardyard.project.model import Image, Project

PROJECT = Project(root=Path("/"), image=Image(name="demo"))


def finds(project: Project, aws: Aws) -> Iterator[Finding]:
    yield Finding("note", "found", "x", "y")


def hangs(project: Project, aws: Aws) -> Iterator[Finding]:
    threading.Event().wait()
    yield from ()


def breaks(project: Project, aws: Aws) -> Iterator[Finding]:
    yield Finding("note", "before", "x", "y")
    raise KeyError("surprise")


def refused(project: Project, aws: Aws) -> Iterator[Finding]:
    raise RemoteError("AWS said no")
    yield


def lacks(project: Project, aws: Aws) -> Iterator[Finding]:
    raise MissingError("no credentials")
    yield


def test_whatever_a_look_out_does_findings_come_out() -> None:
    found = preflight(PROJECT, (hangs, breaks, refused, lacks, finds), within_s=0.5)
    assert [(one.code, one.where) for one in found] == [
        ("before", "x"),
        ("online", "breaks"),
        ("online", "refused"),
        ("found", "x"),
        ("no-answer", "hangs"),
    ]
    assert "KeyError: 'surprise'" in found[1].message
    assert found[-1].message == "no answer within 0.5 s"


@pytest.mark.parametrize(
    ("sides", "code"),
    [((), 0), (("remote",), 4), (("remote", "machine"), 3), (("machine", "project", "remote"), 2)],
)
def test_the_exit_code_is_that_of_the_nearest_side(sides: tuple[Any, ...], code: int) -> None:
    assert exit_code([Finding("error", "x", "", "", "", side) for side in sides]) == code
    assert exit_code([Finding("warning", "x", "", "", "", side) for side in sides]) == 0


SERVICE = {"Service": "sagemaker.amazonaws.com"}


@pytest.mark.parametrize(
    ("statement", "fits"),
    [
        ({"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}, True),
        ({"Effect": "Allow", "Principal": SERVICE, "Action": ["sts:TagSession", "sts:AssumeRole"]}, True),
        ({"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", *SERVICE.values()]}, "Action": "sts:*"}, True),
        ({"Effect": "Deny", "Principal": SERVICE, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": SERVICE, "Action": "sts:TagSession"}, False),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}, False),
    ],
)  # fmt: skip
def test_a_trust_policy_lets_sagemaker_in(statement: dict[str, Any], fits: bool) -> None:
    assert trusts(statement) is fits
