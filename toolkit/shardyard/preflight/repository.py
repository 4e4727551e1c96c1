"""The repository that the image goes to: there or to be made, open to us, its tag free."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.errors import RemoteError
from shardyard.preflight.aws import BRIEF, DENIED, Aws, code_of
from shardyard.preflight.base import opened
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard.registry.ecr import Ecr
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.errors import RegistryError
from shardyard.registry.oci.reference import Reference
from shardyard.registry.settings import differences

_WHERE = "registry.repository"


def repository(project: Project, aws: Aws) -> Iterator[Finding]:
    """Asked for without a change: an upload is begun and given up again."""
    registry = project.registry
    name = registry.repository or project.image.name
    try:
        ecr = Ecr(registry.region, registry.account, BRIEF)
        credentials = ecr.sign_in()
    except RemoteError as error:
        remedy = "your identity needs ecr:GetAuthorizationToken"
        yield Finding("error", "registry-refused", "registry", error.message, remedy, "remote")
        return
    asked = opened(Reference(credentials.host, name), lambda host: credentials)
    try:
        found = ecr.repository(name)
    except RemoteError as error:
        denied = code_of(error) in DENIED
        remedy = "your identity needs ecr:DescribeRepositories to tell more" if denied else ""
        yield Finding("warning" if denied else "error", "repository", _WHERE, error.message, remedy, "remote")
        return
    if found is None:
        yield from _to_be_made(name, ecr, aws)
        return
    for text, remedy in differences(found, registry):
        yield Finding("warning", "repository-settings", _WHERE, text, remedy, "remote")
    yield from _open(asked)
    yield from _tag(asked, registry.tag, found.immutable)


def _to_be_made(name: str, ecr: Ecr, aws: Aws) -> Iterator[Finding]:
    if ecr.account == aws.identity().account:
        text = f"{name!r} is not there yet; the first push makes it, which needs ecr:CreateRepository"
        yield Finding("note", "new-repository", _WHERE, text, "", "remote")
        return
    text = f"{name!r} is not in account {ecr.account}, which is not yours"
    remedy = f"its owner types: aws ecr create-repository --region {ecr.region} --repository-name {name}"
    yield Finding("error", "no-repository", _WHERE, text, remedy, "remote")


def _open(asked: Repository) -> Iterator[Finding]:
    """The right to push, which no question of AWS's control plane tells."""
    try:
        Blobs(asked).try_upload()
    except RegistryError as error:
        remedy = "the push needs ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload and PutImage"
        yield Finding("error", "push-refused", _WHERE, error.message, remedy, "remote")


def _tag(asked: Repository, tag: str, immutable: bool) -> Iterator[Finding]:
    try:
        digest = asked.digest(tag) if immutable else None
    except RegistryError:
        return  # a registry that answers nothing is told about by the look at pushing
    if digest is not None:
        text = f"the tag {tag!r} is taken by {digest[:19]}, and the repository's tags are immutable"
        yield Finding("error", "immutable-tag", "registry.tag", text, "set another [registry] tag", "remote")
